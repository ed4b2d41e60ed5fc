"""The conversations in the admin: sessions with their messages, profiles and feedback."""
