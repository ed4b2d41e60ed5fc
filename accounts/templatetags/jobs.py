"""Tells templates for which job a model's pages are: where they stand in the admin."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models import Model
from django.db.models.options import Options

from accounts.admin.site import group_of

register = template.Library()


@register.filter
def job(what: Options[Any] | Model) -> str:
    options = what._meta if isinstance(what, Model) else what
    return group_of(options.label)
