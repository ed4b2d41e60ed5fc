"""Keyset pages, filters and CSV export of long lists."""
