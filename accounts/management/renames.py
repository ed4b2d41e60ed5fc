"""What the commands that rename have in common: the options, and the lines about former slugs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from accounts.tenancy.renames import KEPT


def add_rename_arguments(parser: CommandParser) -> None:
    parser.add_argument("slug", nargs="?", help="the new one")
    parser.add_argument(
        "--days",
        type=int,
        default=KEPT.days,
        help=f"for how long old URLs answer 308; {KEPT.days} without it, 0: not at all",
    )
    parser.add_argument("--release", metavar="SLUG", help="let others have a former slug now")


def former(slugs: Iterable[tuple[str, datetime]]) -> list[Mapping[str, Any]]:
    """Return the former slugs as reports have them."""
    return [{"slug": slug, "expires_at": expires_at} for slug, expires_at in slugs]


def former_lines(found: Sequence[Mapping[str, Any]], name: str, what: str) -> Iterator[str]:
    """Say which slugs still lead to `name`, which is an account or an agent."""
    if not found:
        yield f"No former slug leads to {what} {name}."
    for each in found:
        until = f"{each['expires_at']:%Y-%m-%d %H:%M} UTC"
        yield f"The former slug {each['slug']} leads to {name} until {until}."
