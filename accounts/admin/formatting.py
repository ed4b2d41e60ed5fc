"""The HTML in which the pages of the admin show values."""

from __future__ import annotations

import json

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString


def badge(text: object, state: str = "") -> SafeString:
    """Show a state; `state` is its colour: "ok", "info", "warn", "bad" or none."""
    return format_html('<span class="badge {}">{}</span>', state, text)


def quiet(text: object) -> SafeString:
    return format_html('<span class="quiet">{}</span>', text)


def link(address: str, text: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', address, text)


def row_address(of: Model | type[Model], key: object = None) -> str:
    """Return the address of a row's page: of a row, or of a model and the row's id."""
    page = f"admin:{of._meta.app_label}_{of._meta.model_name}_change"
    return reverse(page, args=[of.pk if key is None else key])


def row_link(model: type[Model], key: object) -> SafeString:
    """Link to a row's page by its id."""
    return link(row_address(model, key), key)


def lower_first(text: str) -> str:
    """Write a choice as badges do, in lower case; an abbreviation stays as it is."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def list_address(page: str, **lookups: object) -> str:
    """Return the address of a list, such as "accounts_apikey", narrowed by these look-ups."""
    query = urlencode({name: str(value) for name, value in lookups.items()})
    return f"{reverse(f'admin:{page}_changelist')}?{query}"


def pretty_json(value: object) -> SafeString:
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="json" tabindex="0">{}</pre>', text)
