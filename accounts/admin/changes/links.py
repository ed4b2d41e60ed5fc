"""From an entry of the audit log to its row's page, and from an address to what it names."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.urls import reverse

from accounts.admin.formatting import row_address
from accounts.audit.log import model_of
from accounts.models import AuditEntry
from salient.cursor import Cursor


def place_of(request: HttpRequest) -> Cursor | None:
    """Return the place in a history that the address names; None for its beginning."""
    with suppress(ValueError):
        return Cursor.read(request.GET["before"]) if "before" in request.GET else None
    return None


def row_to_change[M: Model](page: admin.ModelAdmin[M], request: HttpRequest, object_id: UUID) -> M:
    """Return the row of a page that changes it; raises PermissionDenied before Http404."""
    row = page.get_object(request, str(object_id))
    if not page.has_change_permission(request, row):
        raise PermissionDenied
    if row is None:
        raise Http404(f"There is no such {page.opts.verbose_name}.")
    return row


def may_be_key(model: type[Model], text: str) -> bool:
    """Whether the text is written as the keys of the model's rows are."""
    try:
        model._meta.pk.to_python(text)
    except ValidationError:
        return False
    return True


def page_of(site: admin.AdminSite, entry: AuditEntry | None) -> str | None:
    """Return the page of the entry's row, or the list for an export or a search of many rows.

    None for a table without pages, and for a deleted row.
    """
    if entry is None:
        return None
    model = model_of(entry.object_type)
    if model is None or not site.is_registered(model) or entry.action == "deleted":
        return None
    if not entry.object_id:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    if not may_be_key(model, entry.object_id):
        # Of a search, the log names the words.
        return None
    return row_address(model, entry.object_id)
