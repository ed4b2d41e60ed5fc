"""The end of data: holds, retention, erased accounts, and the receipts of what was erased."""
