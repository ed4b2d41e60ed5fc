"""Accounts with people in them, and browsers in which they are logged in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.test import Client

from accounts.models import Account, Invitation, MemberRole, Membership, User
from accounts.tenancy.context import platform_context
from tests.support.api_client import ApiClient
from tests.support.factories import make_membership, make_user

PASSWORD = "correct-horse-battery"


def make_member(account: Account, role: MemberRole, email: str = "") -> Membership:
    user = User.objects.filter(email=email).first() if email else None
    return make_membership(account, user or make_user(email, password=PASSWORD), role=role)


def log_in(user: User) -> str:
    """Return the session cookie that Django gives the user."""
    browser = Client()
    browser.force_login(user)
    return str(browser.cookies[settings.SESSION_COOKIE_NAME].value)


def browser_of(user: User, **headers: str) -> ApiClient:
    """Return the user's page on this site, as it calls the API."""
    cookie = f"{settings.SESSION_COOKIE_NAME}={log_in(user)}"
    return ApiClient(headers={"cookie": cookie, "sec-fetch-site": "same-origin"} | headers)


def roles_in(account: Account) -> dict[str, str]:
    with platform_context():
        rows = Membership.objects.filter(account=account).select_related("user")
        return {row.user.email: row.role for row in rows}


def invitation_rows(account: Account) -> list[dict[str, Any]]:
    with platform_context():
        return [dict(row) for row in Invitation.objects.filter(account=account).values()]
