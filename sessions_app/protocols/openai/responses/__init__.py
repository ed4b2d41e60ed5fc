"""OpenAI's Responses API: a turn as a response, stored and chained as one of our turns."""
