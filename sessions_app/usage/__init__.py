"""Usage by day and in total: counting, storing and reporting it."""
