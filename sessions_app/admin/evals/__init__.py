"""The staff's pages for saved chats and their runs."""
