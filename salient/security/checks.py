"""Refuses insecure settings in production, each in one line.

As Django's system checks they stop `manage.py migrate` and other commands; `refusals()` stops the
server, which runs no system checks.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.utils import get_files
from django.core.checks import Error, Tags, register, run_checks
from django.core.checks import Warning as Advice
from django.core.files.storage import FileSystemStorage

from salient.environment.reader import SettingsError
from salient.environment.values import MAKE_ONE

SHORTEST_SECRET, LEAST_DIFFERENT = 32, 8
NOT_SECRET = ("insecure", "changeme", "change-me", "secret-key", "example")
MANIFEST = "staticfiles.json"
LOOPBACK = ("127.", "localhost", "::1", "[::1]")

type Problems = Iterator[tuple[str, str]]


def refusals() -> list[str]:
    """Return what is insecure, one line each; in development nearly everything is allowed."""
    rules = DEVELOPMENT if settings.DEBUG else PRODUCTION
    return [line for rule in rules for _, line in rule()]


def faults() -> list[str]:
    """Return what keeps a server from starting: its settings, and routes that are open by mistake.

    The routes are found by system checks, which a server does not run otherwise.
    """
    found = run_checks(tags=[Tags.urls])
    static = [line for _, line in static_files_are_there()]
    return [*refusals(), *static, *(error.msg for error in found if error.is_serious())]


@register(Tags.security)
def check_settings(app_configs: object, **_options: Any) -> Iterable[Error]:
    del app_configs
    if settings.TESTING:
        return []
    rules = DEVELOPMENT if settings.DEBUG else PRODUCTION
    return [Error(line, id=f"salient.{code}") for rule in rules for code, line in rule()]


@register()
def check_names(app_configs: object, **_options: Any) -> Iterable[Advice]:
    """Warn of names in .env that are no settings: the intended setting has its default."""
    del app_configs
    return [Advice(line, id="salient.W001") for line in settings.ENVIRONMENT_WARNINGS]


def secrets_are_secret() -> Problems:
    secrets = {
        "E001": ("SECRET_KEY", [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]),
        "E002": ("API_KEY_PEPPER", [settings.API_KEY_PEPPER]),
        "E003": ("SECRET_ENCRYPTION_KEYS", settings.SECRET_ENCRYPTION_KEYS or [""]),
    }
    for code, (name, values) in secrets.items():
        if weak := [fault for value in values if (fault := _fault(value))]:
            yield code, f"{name} {weak[0]}; make one with: {MAKE_ONE}"


def _fault(secret: str) -> str:
    if not secret:
        return "is not set"
    if any(word in secret.lower() for word in NOT_SECRET):
        return "is an example and no secret"
    if len(secret) < SHORTEST_SECRET or len(set(secret)) < LEAST_DIFFERENT:
        return f"is too easy to guess: it needs {SHORTEST_SECRET} random characters"
    return ""


def secrets_are_apart() -> Problems:
    """A secret that leaks must not open what the others protect."""
    if settings.API_KEY_PEPPER == settings.SECRET_KEY:
        yield "E004", "API_KEY_PEPPER is the same as SECRET_KEY: set another one."
    if {settings.SECRET_KEY, settings.API_KEY_PEPPER} & set(settings.SECRET_ENCRYPTION_KEYS):
        yield "E005", "SECRET_ENCRYPTION_KEYS holds another setting's secret: set another one."


def hosts_are_named() -> Problems:
    if not settings.ALLOWED_HOSTS:
        yield "E006", "ALLOWED_HOSTS is empty: name the hosts that this service is reached by."
    elif "*" in settings.ALLOWED_HOSTS:
        yield "E007", "ALLOWED_HOSTS has “*”: name the hosts that this service is reached by."


def demo_is_off() -> Problems:
    if settings.DEMO:
        yield "E008", "DEMO opens every chat page to everybody: set DEMO=false."


def connections_are_secure() -> Problems:
    if not settings.HTTPS and not settings.ALLOW_HTTP:
        yield (
            "E009",
            "HTTPS is off, so keys and cookies can be read on the way: set HTTPS=true, or "
            "ALLOW_HTTP=true where no other machine can listen.",
        )
    if open_origins := [o for o in settings.CSRF_TRUSTED_ORIGINS if "*" in o]:
        yield "E010", f"CSRF_TRUSTED_ORIGINS has {open_origins[0]}: name each origin."


def debug_stays_at_home() -> Problems:
    host = os.environ.get("HOST", "127.0.0.1")
    if not host.startswith(LOOPBACK) and not settings.ALLOW_OPEN_DEBUG:
        yield (
            "E011",
            f"DEBUG shows code and settings to everybody who reaches HOST={host}: set DEBUG=false, "
            "HOST=127.0.0.1, or ALLOW_OPEN_DEBUG=true on a machine that nobody else reaches.",
        )


def static_files_are_there() -> Problems:
    """Find missing static files, on which pages would fail; for servers, not for commands."""
    if not settings.STORAGES["staticfiles"]["BACKEND"].endswith("ManifestStaticFilesStorage"):
        return
    run = "run manage.py collectstatic --noinput"
    try:
        known = json.loads((Path(settings.STATIC_ROOT) / MANIFEST).read_text())["paths"]
    except (OSError, ValueError, KeyError):
        yield "E012", f"The static files are not in {settings.STATIC_ROOT}: {run}."
        return
    ignored = StaticFilesConfig.ignore_patterns
    for folder in map(Path, settings.STATICFILES_DIRS):
        names = get_files(FileSystemStorage(folder), ignored)
        if missing := next((name for name in sorted(names) if name not in known), None):
            yield "E012", f"The static files are from another release ({missing} is new): {run}."


PRODUCTION: tuple[Callable[[], Problems], ...] = (
    secrets_are_secret,
    secrets_are_apart,
    hosts_are_named,
    demo_is_off,
    connections_are_secure,
)
DEVELOPMENT: tuple[Callable[[], Problems], ...] = (debug_stays_at_home,)


def main() -> int:
    """Print what keeps the server from starting, and return the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")
    try:
        lines = [*refusals(), *(line for _, line in static_files_are_there())]
        warnings = [f"warning: {line}" for line in settings.ENVIRONMENT_WARNINGS]
    except SettingsError as error:
        lines, warnings = error.lines, []
    for line in (*warnings, *lines):
        sys.stderr.write(f"salient: {line}\n")
    return 1 if lines else 0
