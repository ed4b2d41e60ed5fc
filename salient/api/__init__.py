"""The ASGI handler of the API, its limits, problems and headers."""
