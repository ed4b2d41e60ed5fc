"""The staff's pages for what was published: the history, each publication, and the way back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agents.admin.forms import RollBackForm
from agents.admin.page_base import InstancePage, home, person
from agents.config import ConfigError
from agents.config.versions import publishing
from agents.config.versions.diff import content_changes, side_by_side
from agents.config.versions.history import history, versions
from agents.config.versions.publishing import Stale
from agents.config.yaml.excerpts import told
from agents.models import AgentInstance, ConfigPublication, ConfigVersion


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
        """Show one publication, against the one before it."""
        one = self._publication(instance, number)
        rows = ConfigPublication.objects.filter(agent_instance_id=instance.pk)
        before = rows.filter(number__lt=number).order_by("-number").first()
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

    def _publication(self, instance: AgentInstance, number: int) -> ConfigPublication:
        rows = ConfigPublication.objects.select_related("config_version")
        found: ConfigPublication | None = rows.filter(
            agent_instance_id=instance.pk, number=number
        ).first()
        if found is None:
            raise Http404("There is no such publication.")
        return found

    def roll_back(self, request: HttpRequest, instance: AgentInstance, number: int) -> HttpResponse:
        """Show what a roll-back to a publication changes, and do it; 0 is the files alone."""
        if number:
            self._publication(instance, number)
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
            problems=told(found.problems, text),
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
