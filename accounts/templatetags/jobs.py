"""The admin's menu in templates: the group of a model, and a group's rows."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from django import template
from django.contrib import admin
from django.db.models import Model
from django.db.models.options import Options
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from accounts.admin.site import SalientAdminSite

register = template.Library()


@register.filter
def job(what: Options[Any] | Model) -> str:
    model = type(what) if isinstance(what, Model) else what.model
    return cast(SalientAdminSite, admin.site).menu_of(model)[0]


@register.simple_tag
def menu_rows(group: dict[str, Any], path: str) -> SafeString:
    """Return the rows of a group in the menu: who sees which of them was decided before."""
    rows = (
        _row(
            group["app_label"],
            model["object_name"].lower(),
            model["name"],
            model["admin_url"],
            model["add_url"],
            is_here=bool(model["admin_url"]) and model["admin_url"] in path,
        )
        for model in group["models"]
    )
    return mark_safe("".join(rows))  # noqa: S308 - each row is escaped


@cache
def _row(
    group: str, model: str, name: str, address: str | None, add: str | None, *, is_here: bool
) -> SafeString:
    """Write one row: it depends on what it is given alone, and there are few of them."""
    heading: str = name
    if address:
        here = '<a href="{}" aria-current="page">{}</a>'
        heading = format_html(here if is_here else '<a href="{}">{}</a>', address, name)
    label = f"{group}-{model}"
    adds = '<a href="{}" class="addlink" aria-describedby="{}">Add</a>'
    return format_html(
        '\n    \n    <tr class="model-{}{}">\n      <th scope="row" id="{}">{}</th>\n'
        "      <td>{}</td>\n    </tr>\n    \n    ",
        model,
        " current-model" if is_here else "",
        label,
        heading,
        format_html(adds, add, label) if add else "",
    )
