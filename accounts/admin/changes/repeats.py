"""A form that is sent twice: it is acted on once, and both answers lead to the same place.

Each page that is rendered has a CSRF token of its own. So what comes again with the same token, at
the same address and with the same fields, is a double click or a reload. A script may send the
cookie's token instead, which is the same for all pages: what it sends is always acted on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.csrf import CSRF_TOKEN_LENGTH
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from accounts.members import sent_forms
from accounts.models import User

type Page = Callable[..., HttpResponseBase]

# Searches change nothing.
SEARCHES = {"list-search", "find"}
SENT_TWICE = (
    "This form was sent twice, and only the first time counted. To send it once more, reload its "
    "page first."
)
STILL_DOING = (
    "This form was sent twice, and the first one is still being worked on. Reload this page in a "
    "moment: nothing is done twice."
)


def shown_once[Response: HttpResponseBase](page: Response, leads_to: str, said: str) -> Response:
    """Lead whoever sends the form again elsewhere, as this page cannot be shown again.

    `said` is the message there.
    """
    page.leads_to, page.said = leads_to, said  # type: ignore[attr-defined]
    return page


def once(view: Page) -> Page:
    """Act on a form once. It is noted in the view's own transaction, so both are done or neither.

    Whoever sends it again meanwhile waits. Only a form whose answer leads to another page counts:
    one that is shown again with its errors changed nothing.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        form_id = _id_of(request)
        if form_id is None:
            return view(request, *args, **kwargs)
        if not sent_forms.take_turns(form_id):
            return _still_doing(request)
        if (sent := sent_forms.sent_before(form_id)) is not None:
            messages.warning(request, sent.said)
            return redirect(sent.leads_to)
        answer = view(request, *args, **kwargs)
        if leads_to := getattr(answer, "leads_to", "") or answer.headers.get("Location", ""):
            said = getattr(answer, "said", SENT_TWICE)
            sent_forms.note(form_id, leads_to=leads_to, said=said)
        return answer

    return wrapper


def _id_of(request: HttpRequest) -> UUID | None:
    """Return the id of the form; None for what changes nothing or is no form of a page."""
    match = request.resolver_match
    if request.method != "POST" or (match is not None and match.url_name in SEARCHES):
        return None
    # That of the cookie is shorter.
    is_of_a_page = len(request.POST.get("csrfmiddlewaretoken", "")) == CSRF_TOKEN_LENGTH
    if not is_of_a_page or not isinstance(request.user, User):
        return None
    return sent_forms.id_of(request.user, request.get_full_path(), request.POST.lists())


def _still_doing(request: HttpRequest) -> HttpResponseBase:
    context = {**admin.site.each_context(request), "title": "Not done yet", "reason": STILL_DOING}
    return TemplateResponse(request, "admin/refused.html", context, status=HTTPStatus.CONFLICT)
