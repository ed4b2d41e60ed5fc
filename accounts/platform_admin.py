"""What the staff's pages of every room are made of."""

from __future__ import annotations

import json

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString


class PlatformModelAdmin[M: Model](admin.ModelAdmin[M]):
    """What all our pages share: plain lists that do not count a large table."""

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50


class RecordAdmin[M: Model](PlatformModelAdmin[M]):
    """Pages for what happened: to be read, never to be made, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


def pretty_json(value: object) -> SafeString:
    """Show a JSON value as people read it."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="json">{}</pre>', text)
