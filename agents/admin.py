"""The staff's pages for agents: which there are, and what is in force for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin import PlatformModelAdmin, RecordAdmin, pretty_json
from agents import connection_admin
from agents.config import AGENT_TYPES, ConfigError, EffectiveConfig, config_dir, read
from agents.config.files import InstanceFiles
from agents.config.layers import leaves
from agents.instance_files import starter_files, written
from agents.models import AgentInstance, ConfigVersion
from agents.runtime.providers import describe_model, model_problem

__all__ = ["AgentInstanceAdmin", "ConfigVersionAdmin", "connection_admin"]


class AgentInstanceForm(forms.ModelForm[AgentInstance]):
    """An instance whose type is one that there is."""

    agent_type = forms.ChoiceField(choices=[(name, name) for name in AGENT_TYPES])


@admin.register(AgentInstance)
class AgentInstanceAdmin(PlatformModelAdmin[AgentInstance]):
    """Instances are archived, never deleted: their history names them."""

    form = AgentInstanceForm
    list_display = [
        "instance_slug",
        "account",
        "display_name",
        "agent_type",
        "status",
        "last_used_at",
    ]
    list_select_related = ["account"]
    list_filter = ["status", "account"]
    search_fields = ["instance_slug", "display_name", "account__slug"]
    asked = (
        *("account", "instance_slug", "display_name", "agent_type", "status"),
        "allowed_origins",
    )
    told = ("chat_page", "configuration", "created_at", "updated_at", "last_used_at")

    def get_fields(self, request: HttpRequest, obj: AgentInstance | None = None) -> list[Any]:
        return [*self.asked, *(self.told if obj else ())]

    def get_readonly_fields(
        self, request: HttpRequest, obj: AgentInstance | None = None
    ) -> list[str]:
        # URLs, cookies and configuration folders have the slugs in them.
        return [*self.told, *(["account", "instance_slug"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: AgentInstance | None = None) -> bool:
        return False

    def save_model(
        self,
        request: HttpRequest,
        obj: AgentInstance,
        form: Any,
        change: bool,  # noqa: FBT001
    ) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        files = InstanceFiles(config_dir(), obj.account.slug, obj.instance_slug)
        try:
            starter = starter_files(files, display_name=obj.display_name, agent_type=obj.agent_type)
            with written(files, starter):
                super().save_model(request, obj, form, change)
        except (OSError, ConfigError) as error:
            text = f"The agent's first files were not written, so write them yourself: {error}"
            self.message_user(request, text, messages.WARNING)
            super().save_model(request, obj, form, change)

    @admin.display(description="chat page")
    def chat_page(self, instance: AgentInstance) -> SafeString:
        address = reverse("sessions:page", args=[instance.account.slug, instance.instance_slug])
        return format_html('<a href="{}">{}</a>', address, address)

    @admin.display(description="configuration in force")
    def configuration(self, instance: AgentInstance) -> SafeString:
        """Every value with the file that it came from, or what is wrong in the files."""
        return render_to_string(
            "admin/configuration.html", configuration_of(instance.account.slug, instance)
        )


def configuration_of(account: str, instance: AgentInstance) -> dict[str, Any]:
    context: dict[str, Any] = {"folder": f"{account}/{instance.instance_slug}"}
    try:
        effective = read(account, instance.instance_slug)
    except ConfigError as error:
        return context | {"problems": [str(problem) for problem in error.problems]}
    model = effective.config.model
    return context | {
        "digest": effective.digest[:12],
        "good_for": describe_model(model),
        "problems": [problem] if (problem := model_problem(model)) else [],
        "rows": list(rows_of(effective)),
    }


def rows_of(effective: EffectiveConfig) -> Iterator[tuple[str, str, str]]:
    """Give each key, its value as text (nothing when it is not set) and its origin."""
    for key, value in leaves(effective.content):
        text = ", ".join(value) if isinstance(value, list) else str("" if value is None else value)
        yield key, text, effective.origins[key]


@admin.register(ConfigVersion)
class ConfigVersionAdmin(RecordAdmin[ConfigVersion]):
    list_display = ["digest_start", "account", "agent_instance", "created_at"]
    list_select_related = ["account", "agent_instance"]
    list_filter = ["account"]
    search_fields = ["digest__startswith"]
    fields = ["account", "agent_instance", "digest", "pretty_content", "created_at"]
    readonly_fields = ["pretty_content"]

    @admin.display(description="version", ordering="digest")
    def digest_start(self, version: ConfigVersion) -> str:
        return version.digest[:12]

    @admin.display(description="content")
    def pretty_content(self, version: ConfigVersion) -> SafeString:
        return pretty_json(version.content)
