"""The async views of turns, histories, feedback and usage, and the chat page."""
