"""The search box on every page of the admin: it finds the page of whatever is typed in.

It is sent by POST, so that a pasted key or a person's address stands in no address and no log.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path

from accounts.admin import registry
from accounts.admin.base import NO_STORE
from accounts.admin.formatting import row_address
from accounts.admin.lists.private import SearchField
from salient.security.logs import without_secrets
from sessions_app.conversations.look_up import Found, look_up


class FindForm(forms.Form):
    text = SearchField(label="Find")


def find(request: HttpRequest) -> HttpResponse:
    """Show what a text names as a page, or as JSON for the box's list of suggestions."""
    if not admin.site.has_permission(request):
        raise PermissionDenied
    form = FindForm(request.POST if request.method == "POST" else None)
    text = form.cleaned_data["text"] if form.is_valid() else ""
    problem = " ".join(map(str, form.errors.get("text") or []))
    found = [_shown(each) for each in look_up(text, lambda model: may_see(request, model))]
    if request.POST.get("as") == "json":
        return JsonResponse({"found": found, "problem": problem}, headers=NO_STORE)
    context = {
        **admin.site.each_context(request),
        "title": "Find",
        "found": found,
        "text": without_secrets(text),
        "was_asked": bool(text.strip()),
        "problem": problem,
    }
    return TemplateResponse(request, "admin/find.html", context, headers=NO_STORE)


def may_see(request: HttpRequest, model: type[Model]) -> bool:
    """Return whether the person may see rows of the model, by the rights of its pages."""
    return bool(admin.site.get_model_admin(model).has_view_permission(request))


def _shown(found: Found) -> dict[str, Any]:
    href = row_address(found.row)
    return {"kind": found.kind, "name": found.name, "more": found.more, "href": href}


def _box(_request: HttpRequest) -> dict[str, Any]:
    return {"is_shown": True}


registry.frame.add(_box, panel="admin/palette.html")
registry.own_pages.append(path("find/", admin.site.admin_view(find), name="find"))
