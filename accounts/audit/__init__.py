"""The audit log as accounts and staff read it."""
