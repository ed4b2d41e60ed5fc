"""What an account may use: rates, concurrent turns, budgets and their alerts."""
