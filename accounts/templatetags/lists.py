"""The table of a list: its amounts stand to the right, and each cell names its column.

On narrow screens a row is a block of lines, each beginning with its column's name (admin.css).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DecimalField, FloatField, IntegerField
from django.utils.html import conditional_escape, strip_tags
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from accounts.admin.formatting import lower_first

register = template.Library()

NUMBERS = (IntegerField, DecimalField, FloatField)


register.filter(lower_first)


@register.filter
def head(header: dict[str, Any], cl: Any) -> SafeString:
    """Return the attributes of a column's heading."""
    attributes = str(header["class_attrib"])
    names = {f"column-{name}" for name in _numbers(cl)}
    return _with_class(attributes, is_number=not names.isdisjoint(attributes.split('"')[1].split()))


@register.simple_tag
def columns(cl: Any, headers: Iterable[dict[str, Any]]) -> list[tuple[str, bool]]:
    """Return of each column the attribute that names it, and whether it holds amounts."""
    numbers, found = _numbers(cl), []
    for name, header in zip(cl.list_display, headers, strict=False):
        label = "" if name == "action_checkbox" else capfirst(strip_tags(str(header["text"])))
        found.append((f'data-label="{conditional_escape(label)}"', name in numbers))
    return found


@register.simple_tag
def cells(columns: Iterable[tuple[str, bool]], row: Iterable[SafeString]) -> SafeString:
    """Return the cells of a row as Django wrote them, each with its column's name."""
    written = ""
    for (label, is_number), cell in zip(columns, row, strict=False):
        tag, _, rest = _with_class(cell, is_number=is_number).partition(" ")
        written += f"{tag} {label} {rest}"
    return mark_safe(written)  # noqa: S308 - Django escaped the cells


def _with_class(html: str, *, is_number: bool) -> SafeString:
    return mark_safe(html.replace('class="', 'class="num ', 1) if is_number else html)  # noqa: S308


def _numbers(cl: Any) -> set[str]:
    named = set(getattr(cl.model_admin, "list_numbers", ()))
    return named | {name for name in cl.list_display if _is_number(cl, name)}


def _is_number(cl: Any, name: str) -> bool:
    try:
        field = cl.opts.get_field(name)
    except FieldDoesNotExist:
        return False
    return isinstance(field, NUMBERS) and not field.choices
