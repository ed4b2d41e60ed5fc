"""Sessions and messages: listing, searching, rating, deleting and exporting them."""
