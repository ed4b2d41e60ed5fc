"""People of the platform for tests: superusers, auditors, staff, and their support accesses."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.test import Client

from accounts.members import support_access
from accounts.models import Account, SupportAccess, User
from tests.accounts.member_fixtures import PASSWORD
from tests.support.database.stored import as_platform, change_row
from tests.support.factories import make_user

_log_in: Any = Client._login  # type: ignore[attr-defined]


def log_in(client: Client, user: User, backend: str | None = None) -> None:
    """Log in as `Client._login` does, with five statements instead of fifteen.

    Django's stores an empty session, reads it, replaces it by a second one and stores that again.
    """
    if settings.SESSION_COOKIE_NAME in client.cookies:
        _log_in(client, user, backend)
        return
    request = HttpRequest()
    request.session = SessionStore()
    # There is no session before it whose key somebody might know.
    request.session.cycle_key = lambda: None  # type: ignore[method-assign]
    login(request, user, backend)
    request.session.save()
    client._set_login_cookies(request)  # type: ignore[attr-defined]


def make_root(**fields: Any) -> User:
    return make_user(is_staff=True, is_superuser=True, **fields)


def opened(user: User, account: Account, *, reason: str = "ticket 7", **options: Any) -> Any:
    return as_platform(support_access.open_access, user, account, reason=reason, **options)


def end_of(access: SupportAccess, at: Any) -> None:
    change_row(access, expires_at=at)


def make_auditor(**fields: Any) -> User:
    """Return an auditor with every permission, by a group and by their own."""
    auditor = make_user(is_staff=True, is_auditor=True, password=PASSWORD, **fields)
    group = Group.objects.create(name="everything")
    group.permissions.set(Permission.objects.all())
    auditor.groups.add(group)
    auditor.user_permissions.set(Permission.objects.all())
    return auditor


def make_staff(**fields: Any) -> User:
    """Return staff whose only permission is to change agents."""
    staff = make_user(**{"is_staff": True, **fields})
    staff.user_permissions.add(Permission.objects.get(codename="change_agentinstance"))
    return staff
