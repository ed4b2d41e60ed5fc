"""Names the admin's menu group of a model for templates."""

from __future__ import annotations

from typing import Any, cast

from django import template
from django.contrib import admin
from django.db.models import Model
from django.db.models.options import Options

from accounts.admin.site import SalientAdminSite

register = template.Library()


@register.filter
def job(what: Options[Any] | Model) -> str:
    model = type(what) if isinstance(what, Model) else what.model
    return cast(SalientAdminSite, admin.site).menu_of(model)[0]
