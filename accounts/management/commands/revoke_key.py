"""`manage.py revoke_key KEY_ID`: end a key, and the visitors whom it started."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts.keys.services import revoke_api_key
from accounts.management.look_up import find_key
from salient.management.base import Refused, ReportingCommand
from salient.ttl import CACHE_TTL


class Command(ReportingCommand):
    help = "End an API key now, with every visitor token that it made."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="the 12 characters behind “sal_sk_”, as lists show them")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        key = find_key(options["key"])
        if key.revoked_at is not None:
            raise Refused("The API key has been revoked.")
        ended = [] if options["dry_run"] else revoke_api_key(key)
        report = {"account": key.account.slug, "key_id": key.key_id, "revoked": bool(ended)}
        return report | {"ended": ended}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if not report["revoked"]:
            yield f"Key {report['key_id']} would be revoked; nothing was changed."
            return
        done = f"Revoked key {report['key_id']} of {report['account']}."
        yield self.style.SUCCESS(done)
        if others := [each for each in report["ended"] if each != report["key_id"]]:
            yield f"With it ended what it was rotated to: {', '.join(others)}."
        yield f"Every server refuses it within {CACHE_TTL} seconds."
