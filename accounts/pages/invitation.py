"""Pages for people who join an account."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login
from django.contrib.auth.forms import SetPasswordForm
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import cache_control
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts.members import invitations
from accounts.members.members import find_person
from accounts.members.one_time_links import LinkClosed
from accounts.models import Invitation, User
from accounts.pages.one_time_links import LinkPages

_link = LinkPages("invitation", invitations.find, "accounts:join", "invitation_gone.html")


@require_safe
@cache_control(private=True, no_store=True)
def invitation(request: HttpRequest, account: str, token: str) -> HttpResponse:
    """Open the link of the e-mail."""
    return _link.open(request, account, token)


@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_store=True)
@sensitive_post_parameters()
def join(request: HttpRequest, account: str) -> HttpResponse:
    """Say who invites to what; POST accepts, for the person with that address alone."""
    try:
        offered = _link.opened(request, account)
        known = find_person(offered.email)
        if known is None:
            return join_as_new(request, offered)
        if known.pk == request.user.pk:
            if request.method != "POST":
                return page(request, offered, is_invited=True)
            return joined(request, offered, known)
    except LinkClosed:
        return _link.closed(request)
    return page(request, offered, status=200 if request.method != "POST" else 403)


def join_as_new(request: HttpRequest, offered: Invitation) -> HttpResponse:
    """The address has no user yet: who holds it chooses a password."""
    form = SetPasswordForm(User(email=offered.email), request.POST or None)
    if not form.is_valid():
        return page(request, offered, form=form)
    user = form.save(commit=False)
    try:
        return joined(request, offered, user)
    except IntegrityError:
        # The user was made in the meantime, so must log in.
        return redirect("accounts:join", offered.account.slug)


def joined(request: HttpRequest, offered: Invitation, user: User) -> HttpResponse:
    membership = invitations.accept(offered, user)
    if request.user.pk != user.pk:
        login(request, user)
    _link.forget(request)
    return page(request, offered, membership=membership)


def page(
    request: HttpRequest, offered: Invitation, *, status: int = 200, **context: Any
) -> HttpResponse:
    return render(request, "invitation.html", {"invitation": offered, **context}, status=status)
