"""The staff's pages for configuration versions."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.base import RecordAdmin, pretty_json
from agents.admin.page_base import home
from agents.models import ConfigVersion


@admin.register(ConfigVersion)
class ConfigVersionAdmin(RecordAdmin[ConfigVersion]):
    """Versions are known by their content; nobody changes one."""

    list_display = ["digest_start", "account", "agent_instance", "created_at", "last_served_at"]
    list_select_related = ["account", "agent_instance"]
    list_filter = ["account"]
    search_fields = ["digest__startswith"]
    fields = [
        ("account", "instance_link"),
        "digest",
        ("created_at", "last_served_at"),
        "pretty_content",
    ]
    readonly_fields = ["pretty_content", "instance_link"]

    @admin.display(description="version", ordering="digest")
    def digest_start(self, version: ConfigVersion) -> str:
        return version.digest[:12]

    @admin.display(description="agent instance")
    def instance_link(self, version: ConfigVersion) -> SafeString:
        instance = version.agent_instance
        return format_html('<a href="{}">{}</a>', home(instance), instance)

    @admin.display(description="content")
    def pretty_content(self, version: ConfigVersion) -> SafeString:
        return pretty_json(version.content)
