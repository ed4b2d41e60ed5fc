"""The API that clients of OpenAI speak, over the same turns as every other route."""
