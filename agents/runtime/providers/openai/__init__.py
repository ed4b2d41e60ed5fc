"""Servers with OpenAI's chat API: the request, the answer and how servers differ."""
