"""`manage.py set_connection ACCOUNT NAME --base-url URL`: an account's own model server."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.models import Account
from agents.connections import connections
from agents.models import ProviderConnection
from salient.api.problems import Problem
from salient.management.base import Refused, ReportingCommand, did_you_mean

STDIN = "-"


class Command(ReportingCommand):
    """Makes what is not there, changes what is; a key is never an argument, which others can see.

    Running answers of the agents that use the connection end within seconds.
    """

    help = "Show, make, change or delete the connection to an account's own model server."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("name", help="configurations name it: model: connection/NAME:MODEL")
        parser.add_argument("--base-url", metavar="URL", help="another host clears the key")
        key = parser.add_mutually_exclusive_group()
        key.add_argument(
            "--key-file", metavar="FILE", help=f"a file with the key; {STDIN} is standard input"
        )
        key.add_argument("--no-key", action="store_true", help="remove the key")
        key.add_argument("--delete", action="store_true", help="delete the connection")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account, name = find_account(options["account"]), options["name"]
        key = "" if options["no_key"] else read_key(options["key_file"])
        known = {each.name: each for each in connections.connections_of(account.pk)}
        found, write = known.get(name), not options["dry_run"]
        try:
            if options["delete"]:
                done = "deleted"
                facts = facts_of(required(account, name, known))
                connections.delete_connection(account.pk, name, write=write)
            elif options["base_url"] is None and key is None:
                done, write = "shown", False
                facts = facts_of(required(account, name, known))
            else:
                done = "changed" if found else "made"
                facts = facts_of(
                    change(account, name, found, options["base_url"], key, write=write)
                )
        except Problem as problem:
            raise Refused(problem.detail) from problem
        return {"account": account.slug, **facts, "done": done, "changed": write}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        name, done = f"{report['account']}: connection {report['name']}", report["done"]
        if report["changed"]:
            yield self.style.SUCCESS(f"{name} was {done}.")
        elif done != "shown":
            yield f"{name} would be {done}; nothing was changed."
        hint = f" (ends with {report['key_hint']})" if report["key_hint"] else ""
        key = f"with a key{hint}" if report["has_key"] else "without a key"
        if done != "deleted":
            yield f"{name}: {report['base_url']}, {key}."


def read_key(path: str | None) -> str | None:
    """Read the key without the line end that editors put behind it."""
    if path is None:
        return None
    try:
        text = sys.stdin.read() if path == STDIN else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise Refused(f"--key-file {path}: {reason.lower()}.") from error
    if not text.strip():
        raise Refused(f"--key-file {path}: there is no key in it; --no-key removes one.")
    return text.strip()


def required(
    account: Account, name: str, known: Mapping[str, ProviderConnection]
) -> ProviderConnection:
    if name not in known:
        hint = did_you_mean(name, known)
        raise Refused(f"{account.slug} has no connection “{name}”.{hint}")
    return known[name]


def change(
    account: Account,
    name: str,
    found: ProviderConnection | None,
    base_url: str | None,
    key: str | None,
    *,
    write: bool,
) -> ProviderConnection:
    if found is not None:
        return connections.change_connection(
            account.pk, name, base_url=base_url, key=key, write=write
        )
    if base_url is None:
        raise Refused(f"{account.slug} has no connection “{name}”: give its --base-url.")
    return connections.create_connection(
        account.pk, name=name, base_url=base_url, key=key or "", write=write
    )


def facts_of(connection: ProviderConnection) -> dict[str, Any]:
    return {
        "name": connection.name,
        "base_url": connection.base_url,
        "has_key": bool(connection.secret),
        "key_hint": connection.secret_hint,
    }
