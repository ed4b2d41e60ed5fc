"""The API of an account: the caller, its members, its keys, its audit log."""
