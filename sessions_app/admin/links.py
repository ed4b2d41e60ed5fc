"""Links between the pages of what happened."""

from __future__ import annotations

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


def page_link(model: str, key: object) -> SafeString:
    return format_html(
        '<a href="{}">{}</a>', reverse(f"admin:sessions_app_{model}_change", args=[key]), key
    )
