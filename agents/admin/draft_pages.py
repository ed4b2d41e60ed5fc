"""The pages that change one agent instance: its draft and its status."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from accounts.admin.formatting import row_address
from agents.admin.forms import EditForm, PublishForm, ValuesForm
from agents.admin.page_base import InstancePage, Page, ask_about_status, person, review_page
from agents.admin.publication_pages import PublicationPages
from agents.config import ConfigError
from agents.config.reference import reference
from agents.config.versions import publishing
from agents.config.versions.diff import side_by_side
from agents.config.versions.form_values import ChangedTwice, form_values
from agents.config.versions.publishing import (
    NothingToPublish,
    PublishCheckFailure,
    PublishChecksFailed,
    Stale,
)
from agents.config.yaml.excerpts import excerpts_of
from agents.instances.status import CHANGES, set_status
from agents.models import AgentInstance, ConfigDraft


class DraftPages(InstancePage):
    def edit(self, request: HttpRequest, instance: AgentInstance) -> HttpResponse:
        """Save a draft, also one with errors; only one without them goes on to the review."""
        if request.method != "POST":
            return self._editor(request, instance)
        form, values = EditForm(request.POST), ValuesForm.as_sent(request.POST)
        if "autosave" in request.POST:
            return self._autosave(request, instance, form, values)
        if not form.is_valid():
            return self._editor(request, instance, form=form, values=values)
        text = form.cleaned_data["text"]
        try:
            found = values.merged_into(text)
            text = found.text
            self._store(request, instance, text, form)
        except ChangedTwice as error:
            values.refuse(error)
            return self._editor(request, instance, text=text, values=values)
        except Stale as error:
            return self._editor(request, instance, text=text, stale=str(error))
        return self._saved(request, instance, values if found.waits else None)

    def _store(
        self, request: HttpRequest, instance: AgentInstance, text: str, form: EditForm
    ) -> ConfigDraft:
        data = form.cleaned_data
        return publishing.save_draft(
            instance, text, person(request), seen=data["seen"], base=data["base"]
        )

    def _saved(
        self, request: HttpRequest, instance: AgentInstance, values: ValuesForm | None
    ) -> HttpResponse:
        if "review" not in request.POST:
            messages.success(request, "The draft is saved; nothing is published yet.")
        elif (draft := publishing.draft_of(instance)) and not publishing.check(
            instance, draft.text
        ):
            return redirect("admin:instance-review", instance.pk)
        return self._editor(request, instance, values=values)

    def _autosave(
        self, request: HttpRequest, instance: AgentInstance, form: EditForm, values: ValuesForm
    ) -> HttpResponse:
        """Keep what is being written, and answer what the next time has to be sent.

        That is the ETag of the draft, its text with what was typed into the form, and what the form
        shows by that.
        """
        if not form.is_valid():
            return JsonResponse({"detail": "This cannot be saved."}, status=400)
        try:
            found = values.merged_into(form.cleaned_data["text"])
            draft = self._store(request, instance, found.text, form)
        except ChangedTwice as error:
            return JsonResponse({"detail": str(error)}, status=400)
        except Stale as error:
            return JsonResponse({"detail": str(error)}, status=409)
        shown = None if found.waits else form_values(instance, found.text)
        answer = {"seen": publishing.etag_of(draft), "text": found.text}
        return JsonResponse(answer | ({"shown": shown.shown} if shown else {}))

    def _editor(
        self,
        request: HttpRequest,
        instance: AgentInstance,
        *,
        form: EditForm | None = None,
        text: str | None = None,
        values: ValuesForm | None = None,
        stale: str = "",
    ) -> TemplateResponse:
        draft, last = publishing.draft_of(instance), publishing.newest(instance)
        theirs = draft.text if draft else publishing.published_text(instance)
        text = theirs if text is None else text
        number = last.number if last else 0
        initial = {
            "text": text,
            "seen": publishing.etag_of(draft),
            "base": draft.base if draft else number,
        }
        validated = publishing.validate(instance, text)
        if values is None and (found := form_values(instance, text)) is not None:
            values = ValuesForm.of(found)
        if values is not None:
            values.take_errors(validated.problems)
        return self.page(
            request,
            instance,
            "edit",
            f"Configure {instance}",
            editor=form or EditForm(initial=initial),
            values=values,
            draft=draft,
            number=number,
            moved_on=last if draft and draft.base != number else None,
            problems=excerpts_of(validated.problems, text),
            warnings=excerpts_of(validated.warnings, text),
            stale=stale,
            theirs=side_by_side(theirs, text) if stale else [],
            reference=reference(instance),
        )

    def review(self, request: HttpRequest, instance: AgentInstance) -> HttpResponse:
        """Show what the draft changes; publish it."""
        draft = publishing.draft_of(instance)
        if draft is None:
            return self._no_draft(request, instance)
        if request.method != "POST":
            return self._review(request, instance, draft)
        form = PublishForm(request.POST)
        if not form.is_valid():
            return self._review(request, instance, draft, form=form)
        if form.cleaned_data["seen"] != publishing.etag_of(draft):
            stale = f"{draft.author_name or 'Somebody'} changed the draft meanwhile."
            return self._review(request, instance, draft, stale=stale, form=self._again(form))
        return self._publish(request, instance, draft, form)

    def _publish(
        self,
        request: HttpRequest,
        instance: AgentInstance,
        draft: ConfigDraft,
        form: PublishForm,
    ) -> HttpResponse:
        data = form.cleaned_data
        try:
            made = publishing.publish(
                instance,
                draft.text,
                data["note"],
                person(request),
                gate_reason=data["gate_reason"],
                base=data["base"],
            )
        except Stale as error:
            return self._review(request, instance, draft, stale=str(error), form=self._again(form))
        except PublishChecksFailed as error:
            form.add_error("gate_reason", "A test chat failed: say why this is published anyway.")
            return self._review(request, instance, draft, form=form, failures=error.failures)
        except NothingToPublish:
            return self._no_draft(request, instance)
        except ConfigError:
            return self._review(request, instance, draft, form=form)
        messages.success(
            request,
            f"Number {made.number} is published; every server uses it within 5 seconds.",
        )
        return redirect(row_address(instance))

    def _no_draft(self, request: HttpRequest, instance: AgentInstance) -> HttpResponse:
        """Show the note of somebody whose draft another has published; without one, the editor."""
        if note := request.POST.get("note", "").strip():
            return self.page(
                request,
                instance,
                "nothing_to_publish",
                "There is nothing to publish any more",
                note=note,
                newest=publishing.newest(instance),
            )
        messages.info(request, "There is no draft: change something first.")
        return redirect("admin:instance-configuration", instance.pk)

    def _again(self, form: PublishForm) -> PublishForm:
        """Return the form with what was written, for the draft as it is now."""
        written = {name: form.cleaned_data.get(name, "") for name in ("note", "gate_reason")}
        return PublishForm(initial=written)

    def _review(
        self,
        request: HttpRequest,
        instance: AgentInstance,
        draft: ConfigDraft,
        *,
        form: PublishForm | None = None,
        stale: str = "",
        failures: list[PublishCheckFailure] | None = None,
    ) -> TemplateResponse:
        last, found = publishing.newest(instance), publishing.difference(instance, draft.text)
        form = form or PublishForm()
        form.initial["base"] = last.number if last else 0
        form.initial["seen"] = publishing.etag_of(draft)
        if failures is None:
            failures = []
            if not found.problems:
                override = publishing.override_of(draft.text)
                failures = publishing.publish_check_failures(instance, override)
        if not failures:
            del form.fields["gate_reason"]
        return self.page(
            request,
            instance,
            "review",
            f"Review the draft of {instance}",
            form=form if found.text and not found.problems else None,
            draft=draft,
            found=found,
            problems=excerpts_of(found.problems, draft.text),
            warnings=excerpts_of(found.warnings, draft.text),
            failures=failures,
            stale=stale,
            moved_on=last if last and draft.base != last.number else None,
            **review_page.context(request, instance),
        )

    def reset(self, request: HttpRequest, instance: AgentInstance) -> HttpResponse:
        """Remove a published value from the draft, and show what that changes."""
        key = request.POST.get("key", "")
        if request.method != "POST":
            return redirect(row_address(instance))
        try:
            publishing.reset(instance, key, person(request))
        except KeyError:
            messages.warning(request, f"The draft does not set “{key}”.")
            return redirect("admin:instance-configuration", instance.pk)
        except ConfigError:
            messages.error(request, "The draft has an error: correct it first.")
            return redirect("admin:instance-configuration", instance.pk)
        messages.success(request, f"The draft no longer sets “{key}”.")
        return redirect("admin:instance-review", instance.pk)

    def discard(self, request: HttpRequest, instance: AgentInstance) -> HttpResponse:
        """Discard the draft after a confirmation; a newer draft than was shown needs a new one."""
        stale = ""
        if request.method == "POST":
            try:
                publishing.discard_draft(instance, seen=request.POST.get("seen", ""))
            except Stale as error:
                stale = str(error)
            else:
                messages.success(request, "The draft is discarded; what is in force stays.")
                return redirect(row_address(instance))
        draft = publishing.draft_of(instance)
        if draft is None:
            return redirect(row_address(instance))
        return self.page(
            request,
            instance,
            "discard",
            "Discard the draft?",
            draft=draft,
            sent=[("seen", publishing.etag_of(draft))],
            stale=stale,
            lines=side_by_side(publishing.published_text(instance), draft.text),
        )


class InstancePages(DraftPages, PublicationPages):
    """All pages below an instance's own page."""

    def urls(self) -> list[URLPattern]:
        here = "<uuid:object_id>/configuration/"
        pages: list[tuple[str, Page, str]] = [
            (here, self.edit, "instance-configuration"),
            (f"{here}review/", self.review, "instance-review"),
            (f"{here}reset/", self.reset, "instance-reset"),
            (f"{here}discard/", self.discard, "instance-discard"),
            (f"{here}history/", self.history, "instance-history"),
            (f"{here}history/<int:number>/", self.publication, "instance-publication"),
            (f"{here}history/<int:number>/roll-back/", self.roll_back, "instance-roll-back"),
            (f"{here}compare/<uuid:old>/<uuid:new>/", self.compare, "instance-compare"),
            ("<uuid:object_id>/status/<slug:status>/", self.status, "instance-status"),
        ]
        return [path(at, self.wrapped(page), name=name) for at, page, name in pages]

    def status(self, request: HttpRequest, instance: AgentInstance, status: str) -> HttpResponse:
        """Show what activating, deactivating or archiving means, and do it by POST."""
        change = CHANGES.get(status)
        if change is None:
            raise Http404("There is no such status.")
        if request.method == "POST":
            set_status([instance], status)
            messages.success(request, f"{instance} is {change.done}.")
            return redirect(row_address(instance))
        return ask_about_status(self.admin, request, [instance], change)
