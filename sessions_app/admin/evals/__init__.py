"""The admin's pages for saved chats and their runs, and the playground."""
