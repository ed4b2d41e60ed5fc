"""What an agent was configured with: its history, its publications, rolling back, versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from accounts.admin.base import RecordAdmin
from accounts.admin.formatting import row_address
from agents.admin.forms import RollBackForm
from agents.admin.page_base import InstancePage, compare_page, person
from agents.config import ConfigError
from agents.config.effective_rows import Row
from agents.config.layers import leaves
from agents.config.versions import publishing
from agents.config.versions.diff import content_changes, shown, side_by_side
from agents.config.versions.history import (
    comparable,
    history,
    newest_publications,
    publication,
    publication_before,
    publications_with,
    versions,
)
from agents.config.versions.publishing import NothingToPublish, Stale
from agents.config.yaml.excerpts import excerpts_of
from agents.models import AgentInstance, ConfigPublication, ConfigVersion
from salient.ids import parse_uuid


@admin.register(ConfigVersion)
class ConfigVersionAdmin(RecordAdmin[ConfigVersion]):
    """A version is identified by a hash of its content, so nobody changes one."""

    nothing_yet = "No agent has answered yet: a version is kept with its first answer."
    list_display = ["digest_start", "account", "agent_instance", "created_at", "last_served_at"]
    list_select_related = ["account", "agent_instance"]
    list_filter = ["account"]
    search_fields = ["digest__startswith"]
    search_help_text = "How the version begins."
    detail_template = "admin/config_version/page.html"

    def detail_rows(self, request: HttpRequest) -> QuerySet[ConfigVersion]:
        return self.get_queryset(request).select_related("account", "agent_instance")

    def detail(self, request: HttpRequest, row: ConfigVersion) -> dict[str, Any]:
        values = [Row(key, shown(value), "") for key, value in leaves(row.content)]
        return {
            "title": f"Version {row}",
            "version": row,
            "publications": publications_with(row),
            "may_fix": request.user.has_perm("agents.change_agentinstance"),
            "prompt": row.content.get("system_prompt", ""),
            "rows": [each for each in values if each.key != "system_prompt"],
        }

    @admin.display(description="version", ordering="digest")
    def digest_start(self, version: ConfigVersion) -> str:
        return version.digest[:12]


class PublicationPages(InstancePage):
    def history(self, request: HttpRequest, instance: AgentInstance) -> HttpResponse:
        """List what was in force; with `old` and `new` lead to the comparison of these two."""
        chosen = [parse_uuid(request.GET.get(name, "")) for name in ("old", "new")]
        if all(chosen):
            return redirect("admin:instance-compare", instance.pk, *chosen)
        entries = history(instance)
        options = comparable(entries)
        return self.page(
            request,
            instance,
            "history",
            f"Versions of {instance}",
            entries=entries,
            options=options,
            old=options[1].version if len(options) > 1 else None,
            new=options[0].version if options else None,
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
            before_name=f"Number {before.number}" if before else "Nothing",
            own_name=f"Number {number}",
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
            except NothingToPublish:
                form = self._roll_back_form(request, instance, number, again=True)
            except (ConfigError, ValidationError) as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"Rolled back: number {made.number} is in force.")
                return redirect(row_address(instance))
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
            # What cannot be restored, or is in force already, has no form.
            form=form if found.text and not found.problems else None,
            number=number,
            found=found,
            problems=excerpts_of(found.problems, text),
            stale=stale,
            newest=publishing.newest(instance),
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
        sides = named_versions([before, after])
        names = [name for _, name, _ in sides]
        return self.page(
            request,
            instance,
            "compare",
            f"{instance}: {names[0]} → {names[1]}",
            sides=sides,
            old_name=names[0],
            new_name=names[1],
            changes=content_changes(before.content, after.content),
            options=comparable(history(instance)),
            old=before,
            new=after,
            prompts=[side.content.get("system_prompt", "") for side in (before, after)],
            **compare_page.context(request, instance, before, after),
        )


def named_versions(
    versions: Iterable[ConfigVersion],
) -> list[tuple[ConfigVersion, str, ConfigPublication | None]]:
    """Name each version by the number that it was published as, else by its digest."""
    listed = list(versions)
    numbers = newest_publications([version.pk for version in listed])
    return [
        (version, f"Number {one.number}" if one else f"Files {version}", one)
        for version in listed
        for one in [numbers.get(version.pk)]
    ]


def found_or_404(instance: AgentInstance, number: int) -> ConfigPublication:
    found = publication(instance, number)
    if found is None:
        raise Http404("There is no such publication.")
    return found
