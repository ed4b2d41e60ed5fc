"""The staff's pages for agents, their configuration and model connections."""

from agents.admin import agents, config_versions, connections

__all__ = ["agents", "config_versions", "connections"]
