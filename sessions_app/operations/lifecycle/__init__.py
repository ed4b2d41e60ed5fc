"""The lifecycle of data: legal holds, retention, erased accounts, and receipts of erasures."""
