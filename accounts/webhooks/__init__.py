"""Webhooks: endpoints and their secrets, the outbox, its delivery and its log."""
