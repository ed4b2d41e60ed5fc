"""Pages outside of the admin: invitations, key offers, passwords."""
