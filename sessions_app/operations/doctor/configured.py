"""The settings: what Django's and our checks say, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import run_checks
from django.http.request import validate_host
from django.utils import timezone

from accounts.models import Invitation
from accounts.tenancy.context import platform_context
from sessions_app.operations.doctor.findings import Finding, Needs, Subject, fault, ok, warning

NO_MAIL = ("salient.mail.ConsoleBackend", "dummy", "locmem")


def _checks() -> Iterator[Finding]:
    """Run the checks of `manage.py check --deploy`, and of a server's start."""
    found = run_checks(include_deployment_checks=not settings.DEBUG)
    faults = [each for each in found if each.is_serious()]
    for each in found:
        make = fault if each in faults else warning
        yield make(" ".join(str(each.msg).split()), " ".join(str(each.hint or "").split()))
    if not faults:
        yield ok(f"{'development' if settings.DEBUG else 'production'}, without an error")


def _public_url() -> Iterator[Finding]:
    if not settings.PUBLIC_URL:
        if not settings.DEBUG:
            yield warning(
                "is not set: links in e-mails lead to the host of whoever asked",
                "Set PUBLIC_URL=https://…",
            )
        else:
            yield ok("is not set, which development does without")
        return
    parts = urlsplit(settings.PUBLIC_URL)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if not validate_host(host, settings.ALLOWED_HOSTS):
        yield fault(f"{host} is not in ALLOWED_HOSTS: its pages are a 400", f"Add {host} there.")
    elif settings.HTTPS and parts.scheme != "https":
        yield warning("begins with http:// although HTTPS is on", "Write https:// there.")
    else:
        yield ok(settings.PUBLIC_URL)


def _proxy() -> Iterator[Finding]:
    if settings.HTTPS and not settings.TRUST_PROXY_HEADERS:
        yield warning(
            "HTTPS is on and TRUST_PROXY_HEADERS is off: behind a proxy every page redirects to "
            "itself, as the server itself speaks plain HTTP",
            "Set TRUST_PROXY_HEADERS=true where a proxy always sets X-Forwarded-Proto.",
        )
    elif settings.TRUSTED_PROXIES and not settings.TRUST_PROXY_HEADERS:
        yield warning("TRUSTED_PROXIES counts for nothing", "Set TRUST_PROXY_HEADERS=true.")
    else:
        yield ok("is trusted" if settings.TRUST_PROXY_HEADERS else "none is trusted")


def _mail() -> Iterator[Finding]:
    with platform_context():
        open_ones = Invitation.objects.filter(
            accepted_at=None, revoked_at=None, expires_at__gt=timezone.now()
        ).count()
    backend = settings.MAILERS["default"]["BACKEND"]
    if not any(name in backend for name in NO_MAIL):
        yield ok(f"{open_ones} invitations are open")
    elif open_ones or not settings.DEBUG:
        yield warning(
            f"EMAIL_URL is not set: no e-mail is sent, and {open_ones} invitations are open",
            "Set EMAIL_URL and DEFAULT_FROM_EMAIL, and invite them again.",
        )
    else:
        yield ok("is written to the console")


SUBJECTS = (
    Subject("settings", _checks, needs=Needs.NOTHING),
    Subject("PUBLIC_URL", _public_url, needs=Needs.NOTHING),
    Subject("proxy", _proxy, needs=Needs.NOTHING),
    Subject("e-mail", _mail),
)
