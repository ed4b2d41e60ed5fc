"""Agents as a Django app: what it registers with accounts."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"

    def ready(self) -> None:
        # Models can be imported only now.
        from accounts.tenancy.agents import register_agents  # noqa: PLC0415
        from accounts.tenancy.distribution.findings import register_changed  # noqa: PLC0415
        from accounts.tenancy.renames import register_files  # noqa: PLC0415
        from accounts.tenancy.roles import register_tables  # noqa: PLC0415
        from agents.instances.renames import keep_files  # noqa: PLC0415
        from agents.instances.services import names_of, slugs_of  # noqa: PLC0415

        register_agents(slugs_of, names_of)
        register_files(keep_files)
        guard = {"app_guard_agent_slug": "no slug goes to another agent while it leads to one"}
        register_changed({"trigger": guard})
        register_tables(
            {
                "agent_instances": "SELECT, INSERT, UPDATE",
                "former_agent_slugs": "SELECT, INSERT, UPDATE, DELETE",
                "config_versions": "SELECT, INSERT, UPDATE (last_served_at)",
                "provider_connections": "SELECT, INSERT, UPDATE, DELETE",
                "config_drafts": "SELECT, INSERT, UPDATE, DELETE",
                "config_publications": "SELECT, INSERT",
            },
            audited=["agent_instances", "provider_connections", "config_publications"],
        )
