"""Agents as a Django app."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"

    def ready(self) -> None:
        """Tell `accounts` how the agents of an account are read."""
        # Models can be imported only now.
        from accounts.tenancy.agents import register_agents  # noqa: PLC0415
        from agents.instances.services import slugs_of  # noqa: PLC0415

        register_agents(slugs_of)
