"""Agent instances in the admin: the list, one with its configuration, a new one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin import registry
from accounts.admin.changes.renames import RenamableAdmin
from accounts.admin.changes.suspensions import SuspendableAdmin
from accounts.admin.formatting import badge, list_address, quiet
from accounts.admin.lists.private import SearchedList
from accounts.audit import timeline
from accounts.keys.services import keys_for_agent, keys_of_agent
from accounts.limits.budgets import budgets_of_agent
from accounts.models import Account
from agents.admin.draft_pages import InstancePages
from agents.admin.forms import MultilineField
from agents.admin.page_base import (
    FAULT_BADGE,
    ask_about_status,
    instance_page,
    instance_rows,
    person,
)
from agents.config import AGENT_TYPES, ConfigError, config_dir, read
from agents.config.effective_rows import in_force
from agents.config.files import InstanceFiles
from agents.config.starter_files import STARTER_PROMPT, starter_files, written
from agents.config.versions import publishing
from agents.config.versions.faults import fault_of, faults_of
from agents.config.versions.history import history, publications_of
from agents.config.versions.timeline import changed_files
from agents.config.yaml.text import dump
from agents.instances import renames
from agents.instances.managed import FIRST_NOTE, save_changes
from agents.instances.services import instances_of, use_of_accounts
from agents.instances.status import CHANGES, set_status
from agents.models import AgentInstance, ConfigDraft, FormerAgentSlug, InstanceStatus

MOST_KEYS, MOST_ENTRIES = 10, 5
# So many agents are shown on their account's page.
MOST_AGENTS = 20
STATES = {
    InstanceStatus.ACTIVE: "ok",
    InstanceStatus.INACTIVE: "warn",
    InstanceStatus.ARCHIVED: "bad",
}


class AgentInstanceForm(forms.ModelForm[AgentInstance]):
    """An instance whose type is a known one."""

    agent_type = forms.ChoiceField(choices=[(name, name) for name in AGENT_TYPES])


class NewInstanceForm(AgentInstanceForm):
    """A new instance with what it needs to answer: a model and a prompt."""

    model = forms.CharField(
        required=False,
        max_length=200,
        help_text="provider:model, such as openai:gpt-5-mini. Empty: the model in the file of its "
        "account or of all accounts.",
    )
    system_prompt = MultilineField(
        rows=8,
        required=False,
        initial=STARTER_PROMPT,
        help_text="The model's instructions in every turn. They are published as number 1 and can "
        "be changed at any time. Empty, without a model: starter files are written instead.",
    )

    def clean(self) -> dict[str, Any]:
        """Refuse a configuration with which the instance could not answer."""
        data = super().clean() or self.cleaned_data
        wanted = first_override(data)
        account, slug = data.get("account"), data.get("instance_slug")
        if wanted and account and slug:
            try:
                read(account.folder, slug, override=wanted)
            except ConfigError as error:
                for problem in error.problems:
                    field = problem.key if problem.key in self.fields else None
                    guess = f" Did you mean “{problem.suggestion}”?" if problem.suggestion else ""
                    self.add_error(field, f"{problem.message}{guess}" if field else str(problem))
        return data


def first_override(data: dict[str, Any]) -> dict[str, str]:
    wanted = {"model": data.get("model"), "system_prompt": data.get("system_prompt")}
    return {key: value for key, value in wanted.items() if value and value.strip()}


class AgentList(SearchedList):
    """Adds why each agent cannot answer, in one query for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        agents = list(self.result_list)
        faults = faults_of(agents)
        for agent in agents:
            agent.fault = faults.get(agent.pk, "")
        self.result_list = agents


@admin.register(AgentInstance)
class AgentInstanceAdmin(RenamableAdmin[AgentInstance], SuspendableAdmin[AgentInstance]):
    """Instances are archived, never deleted: their history refers to them."""

    menu_group, menu_place = "Tenants", 2
    nothing_yet = "No agents yet: “Onboard a customer” makes the first one of an account."
    renamed = "agent"
    suspending = (
        "Within 5 seconds each call of it is answered 403 “suspended”, without the reason, and "
        "running answers are stopped. The account cannot undo it; staff can resume it."
    )
    forbidden = frozenset({"delete"})
    form = AgentInstanceForm
    changelist_class = AgentList
    change_form_template = "admin/instance/change_form.html"
    list_display = [
        "instance_slug",
        "account",
        "display_name",
        "state",
        "is_published",
        "has_draft",
        "last_used_at",
    ]
    list_select_related = ["account"]
    list_filter = ["status", "account"]
    search_fields = ["instance_slug", "display_name", "account__slug"]
    search_help_text = "A part of a name or of a slug."
    actions = ["activate", "deactivate", "archive"]

    def get_urls(self) -> list[URLPattern]:
        return [*InstancePages(self).urls(), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentInstance]:
        drafts = ConfigDraft.objects.filter(
            account_id=OuterRef("account_id"), agent_instance_id=OuterRef("pk")
        )
        rows: QuerySet[AgentInstance] = super().get_queryset(request)
        return rows.annotate(with_draft=Exists(drafts))

    def slug_of(self, row: AgentInstance) -> str:
        return row.instance_slug

    def rename(self, row: AgentInstance, slug: str) -> None:
        renames.rename_agent(row, slug)

    def former_slugs(self, row: AgentInstance) -> list[FormerAgentSlug]:
        return renames.former_slugs_of(row)

    def release(self, row: AgentInstance, slug: str) -> bool:
        return renames.release_slug(row, slug)

    def get_form(
        self,
        request: HttpRequest,
        obj: AgentInstance | None = None,
        change: bool = False,  # noqa: FBT001, FBT002
        **options: Any,
    ) -> Any:
        if obj is None:
            options["form"] = NewInstanceForm
        return super().get_form(request, obj, change, **options)

    def get_fields(self, request: HttpRequest, obj: AgentInstance | None = None) -> list[Any]:
        if obj is not None:
            return [("account", "instance_slug"), ("display_name", "agent_type"), "allowed_origins"]
        return [
            "account",
            "instance_slug",
            "display_name",
            "agent_type",
            "status",
            "model",
            "system_prompt",
            "allowed_origins",
        ]

    def get_readonly_fields(
        self, request: HttpRequest, obj: AgentInstance | None = None
    ) -> list[str]:
        # The slug has a page of its own: URLs, cookies and configuration folders contain it.
        return ["account", "instance_slug"] if obj else []

    def save_model(self, request: HttpRequest, obj: AgentInstance, form: Any, change: Any) -> None:
        if change:
            save_changes(obj, form.changed_data)
        elif override := first_override(form.cleaned_data):
            super().save_model(request, obj, form, change)
            publishing.publish(obj, dump(override), FIRST_NOTE, person(request))
        else:
            self._save_with_files(request, obj, form)

    def _save_with_files(self, request: HttpRequest, obj: AgentInstance, form: Any) -> None:
        files = InstanceFiles(config_dir(), obj.account.folder, obj.instance_slug)
        try:
            starter = starter_files(files, display_name=obj.display_name, agent_type=obj.agent_type)
            with written(files, starter):
                super().save_model(request, obj, form, change=False)
        except (OSError, ConfigError) as error:
            text = "The agent's first files were not written, so publish a model and a prompt "
            text += f"for it here: {error}"
            self.message_user(request, text, messages.WARNING)
            super().save_model(request, obj, form, change=False)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        obj = kwargs.get("obj") or (args[3] if len(args) > 3 else None)  # noqa: PLR2004
        if obj is not None:
            context |= self._context(request, obj) | instance_page.context(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def _context(self, request: HttpRequest, instance: AgentInstance) -> dict[str, Any]:
        """Return what the page shows of an instance besides its form."""
        return {
            "instance": instance,
            "title": instance.display_name,
            "subtitle": None,
            "fault": fault_of(instance),
            "state": STATES[InstanceStatus(instance.status)],
            "may_change": self.has_change_permission(request, instance),
            "config": in_force(instance),
            "draft": publishing.draft_of(instance),
            "entries": history(instance, most=MOST_ENTRIES),
            "keys": keys_for_agent(instance.account_id, instance.pk, MOST_KEYS),
            "changes": [change for change in CHANGES.values() if change.status != instance.status],
        }

    def history_parts(self, row: AgentInstance) -> Iterable[QuerySet[Any]]:
        return [
            publications_of(row),
            budgets_of_agent(row.pk),
            keys_of_agent(row.account_id, row.pk),
        ]

    def history_sources(
        self, request: HttpRequest, row: AgentInstance
    ) -> Iterable[timeline.Source]:
        files = changed_files(row.account_id, agent_instance_id=row.pk)
        return [*super().history_sources(request, row), files]

    def history_links(self, row: AgentInstance) -> Iterable[tuple[str, str]]:
        address = reverse("admin:instance-history", args=[row.pk])
        return [("What it ran with: publications and changes of files", address)]

    @admin.display(description="status", ordering="status")
    def state(self, instance: AgentInstance) -> SafeString:
        status = InstanceStatus(instance.status)
        shown = badge(status.value, STATES[status])
        if reason := instance.suspended_reason:
            # An active agent that is suspended answers nobody: it is not called active beside it.
            before = "" if status == InstanceStatus.ACTIVE else shown
            return format_html("{} {} {}", before, badge("suspended", "bad"), quiet(reason))
        if not (fault := getattr(instance, "fault", "")):
            return shown
        return format_html("{} {}", shown, render_to_string(FAULT_BADGE, {"fault": fault}))

    @admin.display(description="published here")
    def is_published(self, instance: AgentInstance) -> str:
        return "yes" if instance.override is not None else "-"

    @admin.display(description="draft")
    def has_draft(self, instance: AgentInstance) -> str:
        # Neither is good or bad: no green and red signs.
        return badge("draft", "info") if getattr(instance, "with_draft", False) else "-"

    @admin.action(description="Activate selected agents", permissions=["change"])
    def activate(self, request: HttpRequest, chosen: QuerySet[AgentInstance]) -> Any:
        return self._set_status(request, chosen, InstanceStatus.ACTIVE)

    @admin.action(description="Deactivate selected agents", permissions=["change"])
    def deactivate(self, request: HttpRequest, chosen: QuerySet[AgentInstance]) -> Any:
        return self._set_status(request, chosen, InstanceStatus.INACTIVE)

    @admin.action(description="Archive selected agents", permissions=["change"])
    def archive(self, request: HttpRequest, chosen: QuerySet[AgentInstance]) -> Any:
        return self._set_status(request, chosen, InstanceStatus.ARCHIVED)

    def _set_status(
        self, request: HttpRequest, chosen: QuerySet[AgentInstance], status: str
    ) -> TemplateResponse | None:
        """Ask for a confirmation: its page sends the same action again, with `sure`."""
        change, instances = CHANGES[status], list(chosen.select_related("account"))
        if "sure" in request.POST:
            number = set_status(instances, status)
            self.message_user(request, f"{number} {change.done}.", messages.SUCCESS)
            return None
        sent = {"action": request.POST["action"], "sure": "yes"}
        return ask_about_status(self, request, instances, change, **sent)


def agents_page(account_id: UUID) -> str:
    """Return the address of the list, narrowed to the account's agents."""
    return list_address("agents_agentinstance", account__id__exact=account_id)


def agents_of(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return what an account's page shows of its agents: each with its figures."""
    figures = instance_rows.figures(request, account.pk)
    agents = list(instances_of(account.pk).select_related("account")[:MOST_AGENTS])
    faults = faults_of(agents)
    return {
        "agents": [
            (agent, figures.get(agent.pk, {}), faults.get(agent.pk, "")) for agent in agents
        ],
        "agents_page": agents_page(account.pk),
        "may_add_agents": admin.site.get_model_admin(AgentInstance).has_add_permission(request),
    }


def agent_figures(account_ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """Return what the list of accounts shows of each one's agents."""
    use = use_of_accounts(account_ids)
    return {
        key: {"instances": 0, "agents_page": agents_page(key), **use.get(key, {})}
        for key in account_ids
    }


registry.account_page.add(agents_of, panel="admin/instance/account_panel.html")
registry.account_rows.add(agent_figures)
