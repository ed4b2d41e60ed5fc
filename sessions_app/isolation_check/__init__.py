"""Tries to reach the rows of one account as another; makes both accounts and removes them."""
