"""Auditors in the admin: they see every page and send no form but those about themselves.

Which texts they look into, and why, is about themselves too: the access they open is the trail of
it, for the account to read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

_ABOUT_THEMSELVES = {"logout", "password_change", "support-open", "support-end"}


def reading_auditors(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Refuse an auditor's writes before the view: a page that forgets to ask changes nothing."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if getattr(request.user, "is_auditor", False) and _writes(request):
            raise PermissionDenied("An auditor changes nothing.")
        return view(request, *args, **kwargs)

    return wrapper


def _writes(request: HttpRequest) -> bool:
    page = request.resolver_match.url_name if request.resolver_match else None
    return request.method not in {"GET", "HEAD"} and page not in _ABOUT_THEMSELVES
