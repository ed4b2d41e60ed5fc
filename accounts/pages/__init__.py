"""Pages for people who are not staff: invitations, key offers, passwords."""
