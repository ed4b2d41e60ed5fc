"""The admin's pages for agents, their configuration and model connections."""

from agents.admin import agents, connections, publication_pages

__all__ = ["agents", "connections", "publication_pages"]
