"""An account's page, its state and its budgets."""
