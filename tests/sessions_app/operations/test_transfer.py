"""An account is exported as one archive, and imported elsewhere wholly or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from zipfile import ZipFile

from django.apps import apps
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection
from django.test import Client, SimpleTestCase, TestCase, override_settings

from accounts.members import support_access
from accounts.models import Account, AccountStatus, ApiKey, AuditEntry, Invitation, User
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.roles import TENANT_RIGHTS, has_account
from sessions_app.models import CompletionStatus, LLMRequest, Message
from sessions_app.operations.integrity.service import check_integrity
from sessions_app.operations.lifecycle.transfer import archive, export, importing, rows, tables
from tests.support.commands import refusal, run, run_json
from tests.support.database.scratch_database import scratch_database
from tests.support.database.tenant_rows import Rows, make_tenant
from tests.support.factories import (
    make_account,
    make_instance,
    make_message,
    make_session,
    make_user,
    write_config,
)
from tests.support.people import make_root

# An import revokes keys and links, and writes what it did.
CHANGED = {"api_keys", "invitations", "audit_log"}


def fill(base: Path) -> Account:
    """Make an account with a row of every kind and files, and a second one beside it."""
    made: Rows = make_tenant("acme")
    make_tenant("beta")
    account: Account = made[Account]
    for agent in ("bot", "bot2"):
        write_config(base, "acme", agent, "model: scripted:echo\n", f"Prompt of {agent}.")
    (base / "acme" / "bot" / ".hidden").write_text("a secret")
    with platform_context():
        LLMRequest.objects.update(completion_status=CompletionStatus.COMPLETE)
    many = make_session(make_instance(account, "talker"), title="Grüße “x”, \u2028")
    for number in range(7):
        make_message(many, content=f"Número {number}\nline two \\ \" 😀", meta={"n": 1.50})
    check_integrity(account, fix=True)
    return account


def faults(slug: str) -> dict[str, int]:
    with platform_context():
        account = Account.objects.get(slug=slug)
    return {each.check.name: each.left for each in check_integrity(account) if each.left}


def members(path: Path) -> dict[str, Any]:
    with ZipFile(path) as opened:
        found: dict[str, Any] = json.loads(opened.read(archive.MANIFEST))["members"]
    return found


class TransferTests(SimpleTestCase):
    databases = {"default"}

    def test_it(self) -> None:
        origin = connection.settings_dict["TEST"]["TEMPLATE"]
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        with scratch_database(source=origin), override_settings(AGENT_CONFIG_DIR=folder / "a"):
            fill(folder / "a")
            print(faults("acme"))
            print(run("export_account", "acme", str(folder / "x.zip")))
        with scratch_database(source=origin), override_settings(AGENT_CONFIG_DIR=folder / "b"):
            try:
                print(run("import_account", str(folder / "x.zip")))
            except SystemExit:
                pass
            print(run("import_account", str(folder / "x.zip"), "--add-people"))
            print(faults("acme"))
            print(run("export_account", "acme", str(folder / "y.zip")))
        x, y = members(folder / "x.zip"), members(folder / "y.zip")
        print(x)
        print({n for n in x if x[n] != y[n]})
        print(ZipFile(folder / "x.zip").read("README.txt").decode())
        print(ZipFile(folder / "x.zip").read("data/api_keys.jsonl").decode())
