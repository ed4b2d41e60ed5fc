"""The admin's pages for agents, their configuration and model connections."""

from agents.admin import agents, connections, onboarding, publication_pages

__all__ = ["agents", "connections", "onboarding", "publication_pages"]
