"""Long lists: pages by a row's place, and CSV exports."""
