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
from accounts.members.invitations import NotInvited
from accounts.models import Invitation, User

# The hash of the token whose link was opened in this browser.
OPENED = "invitation"


@require_safe
@cache_control(private=True, no_store=True)
def invitation(request: HttpRequest, account: str, token: str) -> HttpResponse:
    """The link in the e-mail: it hands its token over to the session and leads on.

    So the token stands in no address that a page refers from, posts to or goes back to.
    """
    hashed = invitations.token_hash(token)
    try:
        invitations.find(account, hashed)
    except NotInvited:
        response = gone(request)
    else:
        request.session[OPENED] = hashed
        response = redirect("accounts:join", account)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_store=True)
@sensitive_post_parameters()
def join(request: HttpRequest, account: str) -> HttpResponse:
    """Say who invites to what; POST accepts, for the person with that address alone."""
    try:
        offered = invitations.find(account, request.session.get(OPENED, ""))
        known = invitations.invited_user(offered)
        if known is None:
            return join_as_new(request, offered)
        if known.pk == request.user.pk:
            return join_as_known(request, offered, known)
    except NotInvited:
        return gone(request)
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


def join_as_known(request: HttpRequest, offered: Invitation, user: User) -> HttpResponse:
    if request.method != "POST":
        return page(request, offered, is_invited=True)
    return joined(request, offered, user)


def joined(request: HttpRequest, offered: Invitation, user: User) -> HttpResponse:
    membership = invitations.accept(offered, user)
    if request.user.pk != user.pk:
        login(request, user)
    request.session.pop(OPENED, None)
    return page(request, offered, membership=membership)


def page(
    request: HttpRequest, offered: Invitation, *, status: int = 200, **context: Any
) -> HttpResponse:
    return render(request, "invitation.html", {"invitation": offered, **context}, status=status)


def gone(request: HttpRequest) -> HttpResponse:
    """One answer for a wrong, expired, withdrawn and used token."""
    return render(request, "invitation_gone.html", status=404)
