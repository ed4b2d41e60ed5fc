"""What the pages behind a link that works once have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.members.one_time_links import LinkClosed, token_hash
from accounts.tenancy.renames import led_to
from accounts.tenancy.renames.moved import new_address


@dataclass(frozen=True, slots=True)
class LinkPages[R]:
    """The pages of one kind of link.

    The link in the e-mail holds the token. Opening it stores the token's hash in the session and
    redirects, so that the token is in no address that a page refers from, posts to or goes
    back to.
    """

    session_key: str
    # Of an account's slug and a token's hash; raises LinkClosed.
    find: Callable[[str, str], R]
    next_page: str
    closed_template: str

    def open(self, request: HttpRequest, account: str, token: str) -> HttpResponse:
        hashed = token_hash(token)
        try:
            self.find(account, hashed)
        except LinkClosed:
            response = self.closed(request)
        else:
            request.session[self.session_key] = hashed
            response = redirect(self.next_page, account)
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def opened(self, request: HttpRequest, account: str) -> R:
        """Return the row whose link was opened in this browser; raises LinkClosed."""
        return self.find(account, request.session.get(self.session_key, ""))

    def forget(self, request: HttpRequest) -> None:
        request.session.pop(self.session_key, None)

    def _renamed(self, request: HttpRequest) -> str | None:
        match: Any = request.resolver_match
        account = led_to(match.kwargs["account"])
        if account is None or account == match.kwargs["account"]:
            return None
        token = match.kwargs.get("token")
        hashed = token_hash(token) if token else request.session.get(self.session_key, "")
        try:
            self.find(account, hashed)
        except LinkClosed:
            return None
        return account

    def closed(self, request: HttpRequest) -> HttpResponse:
        """One answer for a wrong, expired, withdrawn and used token.

        Only who has a good one of a renamed account learns its new address.
        """
        if (account := self._renamed(request)) is not None:
            response = HttpResponse(status=HTTPStatus.PERMANENT_REDIRECT)
            response.headers["Location"] = new_address(request, {"account": account})
            return response
        return render(request, self.closed_template, status=404)
