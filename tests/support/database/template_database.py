"""A migrated database that the databases of all test workers are copied from.

Migrating takes ten seconds of a processor, copying a tenth of one. Django still runs `migrate` on
each copy, so that a copy never lacks a migration.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from tests.support.database.scratch_database import connect_to, on_server, server_lock

APPS = ("salient", "accounts", "agents", "sessions_app")


def use_template() -> None:
    """Have Django copy the tests' database; make the template where the code has changed."""
    test = connection.settings_dict["TEST"]
    name = re.sub(r"_gw\d+$", "", test["NAME"]) + "_template"
    digest = code_digest()
    with server_lock():
        if _digest_of(name) != digest:
            _make(name, digest)
    test["TEMPLATE"] = name


def code_digest() -> str:
    """Return the digest of all that a migration may run: our code and Django's version."""
    digest = hashlib.sha256(django.__version__.encode())
    for path in sorted(
        path
        for app in APPS
        for pattern in ("*.py", "*.sql")
        for path in Path(settings.BASE_DIR, app).rglob(pattern)
    ):
        digest.update(f"\n{path}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _digest_of(name: str) -> str | None:
    with connection._nodb_cursor() as cursor:
        query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
        cursor.execute(query, [name])
        row = cursor.fetchone()
    return row[0] if row else None


def _make(name: str, digest: str) -> None:
    """Migrate an empty database; it has its digest only when that was done to the end."""
    before = connection.settings_dict["NAME"]
    on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    on_server(f'CREATE DATABASE "{name}"')
    connect_to(name)
    try:
        call_command("migrate", verbosity=0, interactive=False, run_syncdb=True)
    finally:
        connect_to(before)
    on_server(f"COMMENT ON DATABASE \"{name}\" IS '{digest}'")
