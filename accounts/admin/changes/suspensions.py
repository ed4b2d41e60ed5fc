"""Suspending with a reason, and resuming by one click, on the pages of what can be stopped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path

from accounts.admin.base import PlatformModelAdmin
from accounts.admin.changes.links import row_to_change
from accounts.admin.formatting import row_address
from accounts.audit.notes import LONGEST_REASON, clean_reason
from accounts.tenancy.suspensions import NO_REASON, resume, suspend, suspension_of


def save_typed(row: Model, form: Any, also: Iterable[str] = ()) -> None:
    """Store what was typed in, alone: the row may have been suspended since it was read."""
    columns = {field.name: field for field in row._meta.concrete_fields}
    moments = [name for name, field in columns.items() if getattr(field, "auto_now", False)]
    row.save(update_fields={*(columns.keys() & set(form.changed_data)), *moments, *also})


class ReasonForm(forms.Form):
    """Why something is suspended."""

    reason = forms.CharField(
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        help_text="Staff read it wherever the state is shown, and the account in its audit log. "
        "Callers only learn that it is suspended.",
    )

    def clean_reason(self) -> str:
        return clean_reason(self.cleaned_data["reason"], missing=NO_REASON)


class SuspendableAdmin[M: Model](PlatformModelAdmin[M]):
    """Pages of rows that are suspended with a reason, and resumed by one click."""

    # What follows from a suspension.
    suspending = ""
    # The columns that a form sets besides its fields.
    also_saved: tuple[str, ...] = ()

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("<uuid:object_id>/suspend/", view(self.suspend_view), name=f"{name}_suspend"),
            path("<uuid:object_id>/resume/", view(self.resume_view), name=f"{name}_resume"),
            *super().get_urls(),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show who suspended the row, when and why."""
        row: Any = kwargs.get("obj")
        if row is not None and row.suspended_reason:
            context["suspension"] = suspension_of(row)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: M, form: Any, change: Any) -> None:
        if change:
            save_typed(obj, form, self.also_saved)
        else:
            super().save_model(request, obj, form, change)

    def suspend_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Ask for the reason, and suspend the row."""
        row = row_to_change(self, request, object_id)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            done = suspend(row, form.cleaned_data["reason"])
            text = "suspended" if done else "was suspended already"
            return self._stopped(request, row, text, done=done)
        return self.ask_about(
            request,
            f"Suspend {row}",
            [(row, "")],
            verb="Suspend",
            means=self.suspending,
            is_dangerous=True,
            form=form,
        )

    def resume_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = row_to_change(self, request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        done = resume(row)
        text = "resumed, and works again within 5 seconds" if done else "was not suspended"
        return self._stopped(request, row, text, done=done)

    def _stopped(self, request: HttpRequest, row: M, text: str, *, done: bool) -> HttpResponse:
        self.message_user(
            request,
            f"{self.opts.verbose_name} {row}: {text}.",
            messages.SUCCESS if done else messages.WARNING,
        )
        return redirect(row_address(row))
