"""Work that no request waits for: jobs that come again, and the process that does them."""
