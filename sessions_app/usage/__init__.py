"""Usage by day and in total: how it is counted, kept and reported."""
