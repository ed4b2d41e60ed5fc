"""From an entry of the audit log to the page of its row, and from an address to a place in it."""

from __future__ import annotations

from contextlib import suppress

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest
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
