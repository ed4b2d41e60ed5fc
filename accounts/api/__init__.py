"""The async views of an account: who calls, its members, its keys."""
