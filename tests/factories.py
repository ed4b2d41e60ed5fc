"""Rows for tests, made through the same doors as everywhere."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from accounts.models import Account, ApiKey, User
from accounts.services import create_account, issue_api_key
from agents.models import AgentInstance
from agents.services import create_instance

_numbers = count(1)


def make_account(slug: str = "", **fields: Any) -> Account:
    account = create_account(slug or f"account-{next(_numbers)}")
    if fields:
        Account.objects.filter(pk=account.pk).update(**fields)
        account.refresh_from_db()
    return account


def make_instance(account: Account | None = None, slug: str = "") -> AgentInstance:
    return create_instance(account or make_account(), slug or f"agent-{next(_numbers)}")


def make_key(account: Account, **fields: Any) -> tuple[ApiKey, str]:
    return issue_api_key(account, **{"name": "tests", **fields})


def make_user(email: str = "", **fields: Any) -> User:
    return User.objects.create_user(email or f"user{next(_numbers)}@example.com", **fields)


def write_config(
    base: Path, account: str, instance: str, text: str, prompt: str = "Be brief."
) -> Path:
    """Write an instance's files under base and return its config.yaml."""
    folder = base / account / instance
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "system_prompt.md").write_text(prompt)
    path = folder / "config.yaml"
    path.write_text(text)
    return path
