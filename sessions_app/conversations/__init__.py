"""Sessions and messages as they are listed, searched, rated and exported."""
