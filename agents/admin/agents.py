"""The staff's pages for agent instances: the list, one with its configuration, a new one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.base import PlatformModelAdmin
from accounts.models import ApiKey
from agents.admin.draft_pages import InstancePages
from agents.admin.forms import LinesField
from agents.admin.page_base import link, person
from agents.admin.status import CHANGES, set_status
from agents.config import AGENT_TYPES, ConfigError, config_dir, read
from agents.config.effective_rows import in_force
from agents.config.files import InstanceFiles
from agents.config.starter_files import STARTER_PROMPT, starter_files, written
from agents.config.versions import publishing
from agents.config.versions.history import history
from agents.config.yaml.text import dump
from agents.models import AgentInstance, ConfigDraft, InstanceStatus

MOST_KEYS = 10
FIRST_NOTE = "First configuration"
STATES = {
    InstanceStatus.ACTIVE: "ok",
    InstanceStatus.INACTIVE: "warn",
    InstanceStatus.ARCHIVED: "bad",
}


class AgentInstanceForm(forms.ModelForm[AgentInstance]):
    """An instance whose type is one that there is."""

    agent_type = forms.ChoiceField(choices=[(name, name) for name in AGENT_TYPES])


class NewInstanceForm(AgentInstanceForm):
    """A new instance with all that it needs to answer: a model and a prompt."""

    model = forms.CharField(
        required=False,
        max_length=200,
        help_text="provider:model, such as openai:gpt-5-mini. Empty: the model that its account's "
        "or everybody's file names.",
    )
    system_prompt = LinesField(
        rows=8,
        required=False,
        initial=STARTER_PROMPT,
        help_text="What the model is told before every turn. It is published as number 1 and can "
        "be changed at any time. Empty, without a model: starter files are written instead.",
    )

    def clean(self) -> dict[str, Any]:
        """Refuse a configuration with which the instance could not answer."""
        data = super().clean() or self.cleaned_data
        wanted = first_override(data)
        account, slug = data.get("account"), data.get("instance_slug")
        if wanted and account and slug:
            try:
                read(account.slug, slug, override=wanted)
            except ConfigError as error:
                for problem in error.problems:
                    field = problem.key if problem.key in self.fields else None
                    guess = f" Did you mean “{problem.suggestion}”?" if problem.suggestion else ""
                    place = "" if field else f"{problem}"
                    self.add_error(field, place or f"{problem.message}{guess}")
        return data


def first_override(data: dict[str, Any]) -> dict[str, str]:
    wanted = {"model": data.get("model"), "system_prompt": data.get("system_prompt")}
    return {key: value for key, value in wanted.items() if value and value.strip()}


@admin.register(AgentInstance)
class AgentInstanceAdmin(PlatformModelAdmin[AgentInstance]):
    """Instances are archived, never deleted: their history names them."""

    form = AgentInstanceForm
    change_form_template = "admin/instance/change_form.html"
    list_display = [
        *("instance_slug", "account", "display_name", "state"),
        *("is_published", "has_draft", "last_used_at"),
    ]
    list_select_related = ["account"]
    list_filter = ["status", "account"]
    search_fields = ["instance_slug", "display_name", "account__slug"]
    actions = ["activate", "deactivate", "archive"]
    asked = ("account", "instance_slug", "display_name", "agent_type")

    def get_urls(self) -> list[URLPattern]:
        return [*InstancePages(self).urls(), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentInstance]:
        drafts = ConfigDraft.objects.filter(agent_instance_id=OuterRef("pk"))
        rows: QuerySet[AgentInstance] = super().get_queryset(request)
        return rows.annotate(with_draft=Exists(drafts))

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
        if obj is None:
            return [*self.asked, "status", "model", "system_prompt", "allowed_origins"]
        return [("account", "instance_slug"), ("display_name", "agent_type"), "allowed_origins"]

    def get_readonly_fields(
        self, request: HttpRequest, obj: AgentInstance | None = None
    ) -> list[str]:
        # URLs, cookies and configuration folders have the slugs in them.
        return ["account", "instance_slug"] if obj else []

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
            # Only what the form asked: somebody may be publishing at this moment.
            obj.save(update_fields=[*form.changed_data, "updated_at"])
        elif override := first_override(form.cleaned_data):
            super().save_model(request, obj, form, change)
            publishing.publish(obj, dump(override), FIRST_NOTE, person(request))
        else:
            self._with_files(request, obj, form)

    def _with_files(self, request: HttpRequest, obj: AgentInstance, form: Any) -> None:
        files = InstanceFiles(config_dir(), obj.account.slug, obj.instance_slug)
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
            context |= self._told(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def _told(self, request: HttpRequest, instance: AgentInstance) -> dict[str, Any]:
        """Gather what the page tells of an instance besides its form."""
        return {
            "instance": instance,
            "title": instance.display_name,
            "subtitle": None,
            "state": STATES[InstanceStatus(instance.status)],
            "may_change": self.has_change_permission(request, instance),
            "config": in_force(instance),
            "draft": publishing.draft_of(instance),
            "entries": history(instance, most=5),
            "keys": keys_for(instance),
            "changes": [change for change in CHANGES.values() if change.status != instance.status],
            "links": links_of(instance),
            "api_path": reverse(
                "sessions:chat", args=[instance.account.slug, instance.instance_slug]
            ),
        }

    @admin.display(description="status", ordering="status")
    def state(self, instance: AgentInstance) -> SafeString:
        status = InstanceStatus(instance.status)
        return format_html('<span class="badge {}">{}</span>', STATES[status], status.label)

    @admin.display(description="published here", boolean=True)
    def is_published(self, instance: AgentInstance) -> bool:
        return instance.override is not None

    @admin.display(description="draft", boolean=True)
    def has_draft(self, instance: AgentInstance) -> bool:
        return bool(getattr(instance, "with_draft", False))

    @admin.action(description="Activate selected agent instances", permissions=["change"])
    def activate(self, request: HttpRequest, chosen: QuerySet[AgentInstance]) -> Any:
        return self._set_status(request, chosen, InstanceStatus.ACTIVE)

    @admin.action(description="Deactivate selected agent instances", permissions=["change"])
    def deactivate(self, request: HttpRequest, chosen: QuerySet[AgentInstance]) -> Any:
        return self._set_status(request, chosen, InstanceStatus.INACTIVE)

    @admin.action(description="Archive selected agent instances", permissions=["change"])
    def archive(self, request: HttpRequest, chosen: QuerySet[AgentInstance]) -> Any:
        return self._set_status(request, chosen, InstanceStatus.ARCHIVED)

    def _set_status(
        self, request: HttpRequest, chosen: QuerySet[AgentInstance], status: str
    ) -> TemplateResponse | None:
        """Ask first: the page that is answered sends the same action again, with a yes."""
        change, instances = CHANGES[status], list(chosen.select_related("account"))
        if "sure" in request.POST:
            number = set_status(instances, status)
            self.message_user(request, f"{number} {change.done}.", messages.SUCCESS)
            return None
        return TemplateResponse(
            request,
            "admin/instance/status_of_many.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": f"{change.verb} {len(instances)} agent instances?",
                "change": change,
                "instances": instances,
                "action": request.POST["action"],
            },
        )


def keys_for(instance: AgentInstance) -> list[ApiKey]:
    """List the newest keys that may call the instance."""
    rows = ApiKey.objects.active().filter(
        Q(instance_ids__len=0) | Q(instance_ids__contains=[instance.pk]),
        account_id=instance.account_id,
    )
    return list(rows.order_by("-created_at")[:MOST_KEYS])


def links_of(instance: AgentInstance) -> list[tuple[str, str]]:
    """Name the pages around an instance; those of rooms that are not there are left out."""
    page = reverse("sessions:page", args=[instance.account.slug, instance.instance_slug])
    why, asked = link("why-refused"), f"?account={instance.account_id}&instance={instance.pk}"
    only = f"?agent_instance__id__exact={instance.pk}&account__id__exact={instance.account_id}"
    found = [
        ("Playground", link("playground", instance.pk)),
        ("Test chats", link("saved-chats", instance.pk)),
        ("Chat page", page if instance.status == InstanceStatus.ACTIVE else ""),
        *(
            (name, f"{address}{only}" if address else "")
            for name, address in (
                ("Sessions", link("sessions_app_session_changelist")),
                ("LLM requests", link("sessions_app_llmrequest_changelist")),
            )
        ),
        ("Why refused?", f"{why}{asked}" if why else ""),
    ]
    return [(name, address) for name, address in found if address]
