"""What an agent was configured with: its history, its publications, rolling back, versions."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from accounts.admin.base import RecordAdmin
from accounts.admin.formatting import link, pretty_json
from agents.admin.forms import RollBackForm
from agents.admin.page_base import InstancePage, home, person
from agents.config import ConfigError
from agents.config.versions import publishing
from agents.config.versions.diff import content_changes, side_by_side
from agents.config.versions.history import (
    history,
    publication,
    publication_before,
    versions,
)
from agents.config.versions.publishing import Stale
from agents.config.yaml.excerpts import excerpts_of
from agents.models import AgentInstance, ConfigPublication, ConfigVersion


@admin.register(ConfigVersion)
class ConfigVersionAdmin(RecordAdmin[ConfigVersion]):
    """A version is identified by a hash of its content, so nobody changes one."""

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
        return link(home(version.agent_instance), version.agent_instance)

    @admin.display(description="content")
    def pretty_content(self, version: ConfigVersion) -> SafeString:
        return pretty_json(version.content)


class PublicationPages(InstancePage):
    def history(self, request: HttpRequest, instance: AgentInstance) -> HttpResponse:
        return self.page(
            request,
            instance,
            "history",
            f"History of {instance}",
            entries=history(instance),
        )

    def publication(
        self, request: HttpRequest, instance: AgentInstance, number: int
    ) -> HttpResponse:
        """Show one publication, compared with the one before it."""
        one, before = found_or_404(instance, number), publication_before(instance, number)
        text = publishing.text_of(one)
        last = publishing.newest(instance)
        return self.page(
            request,
            instance,
            "publication",
            f"Publication {number} of {instance}",
            one=one,
            before=before,
            text=text,
            lines=side_by_side(publishing.text_of(before) if before else "", text),
            is_newest=last is not None and last.number == number,
        )

    def roll_back(self, request: HttpRequest, instance: AgentInstance, number: int) -> HttpResponse:
        """Show what a roll-back to a publication changes, and make it; 0 is the files alone."""
        if number:
            found_or_404(instance, number)
        form, stale = self._roll_back_form(request, instance, number), ""
        if request.method == "POST" and form.is_valid():
            try:
                made = publishing.roll_back(
                    instance,
                    number,
                    form.cleaned_data["note"],
                    person(request),
                    base=form.cleaned_data["base"],
                )
            except Stale as error:
                stale = str(error)
                form = self._roll_back_form(request, instance, number, again=True)
            except (ConfigError, ValidationError) as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"Rolled back: number {made.number} is in force.")
                return redirect(home(instance))
        return self._roll_back_page(request, instance, number, form=form, stale=stale)

    def _roll_back_page(
        self,
        request: HttpRequest,
        instance: AgentInstance,
        number: int,
        *,
        form: RollBackForm,
        stale: str,
    ) -> TemplateResponse:
        text = publishing.restored_text(instance, number)
        found = publishing.difference(instance, text)
        return self.page(
            request,
            instance,
            "roll_back",
            f"Roll {instance} back to {f'number {number}' if number else 'its files'}?",
            form=form,
            number=number,
            found=found,
            problems=excerpts_of(found.problems, text),
            stale=stale,
        )

    def _roll_back_form(
        self, request: HttpRequest, instance: AgentInstance, number: int, *, again: bool = False
    ) -> RollBackForm:
        if request.method == "POST" and not again:
            return RollBackForm(request.POST)
        last = publishing.newest(instance)
        note = f"Roll back to number {number}" if number else "Roll back to the files alone"
        return RollBackForm(
            initial={
                "note": request.POST.get("note") or note,
                "base": last.number if last else 0,
            }
        )

    def compare(
        self, request: HttpRequest, instance: AgentInstance, old: UUID, new: UUID
    ) -> HttpResponse:
        """Show what differs between two versions of this instance."""
        try:
            before, after = versions(instance, old, new)
        except ConfigVersion.DoesNotExist:
            raise Http404("There is no such version of this agent.") from None
        return self.page(
            request,
            instance,
            "compare",
            f"{instance}: version {before} → {after}",
            before=before,
            after=after,
            changes=content_changes(before.content, after.content),
        )


def found_or_404(instance: AgentInstance, number: int) -> ConfigPublication:
    found = publication(instance, number)
    if found is None:
        raise Http404("There is no such publication.")
    return found
