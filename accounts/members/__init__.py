"""The people of an account: roles, invitations, passwords, support access."""
