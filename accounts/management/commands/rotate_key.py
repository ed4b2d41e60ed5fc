"""`manage.py rotate_key KEY_ID`: make a key's successor; the old key works a while longer."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser

from accounts.keys.services import ROTATION_OVERLAP, AlreadyRotated, ShownToStaff, rotate_api_key
from accounts.management.look_up import find_key
from salient.api.problems import NotFound
from salient.formatting import moment
from salient.management.base import Misused, Refused, ReportingCommand

HOUR = timedelta(hours=1)
LONGEST_HOURS = 7 * 24


class Command(ReportingCommand):
    """Prints the new key alone on its line, for easy copying."""

    help = "Replace an API key by a new one with the same rights."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="the 12 characters behind “sal_sk_”, as lists show them")
        parser.add_argument(
            "--overlap-hours",
            type=int,
            default=ROTATION_OVERLAP // HOUR,
            metavar="N",
            help="how long the old key works on (default: %(default)s)",
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        hours = options["overlap_hours"]
        if not 0 <= hours <= LONGEST_HOURS:
            raise Misused(f"--overlap-hours is a number from 0 to {LONGEST_HOURS}.")
        key = find_key(options["key"])
        facts = {"account": key.account.slug, "old_key_id": key.key_id, "name": key.name}
        if refusal := key.refusal():
            raise Refused(refusal)
        if options["dry_run"]:
            return facts | {"rotated": False}
        try:
            rotated = rotate_api_key(key.account_id, key.pk, hours * HOUR)
        except (NotFound, AlreadyRotated, ShownToStaff) as error:
            raise Refused(error.detail) from error
        return facts | {
            "key_id": rotated.key.key_id,
            "key": rotated.text,
            "expires_at": rotated.key.expires_at and rotated.key.expires_at.isoformat(),
            "old_key_expires_at": rotated.old_expires_at.isoformat(),
            "rotated": True,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if not report["rotated"]:
            yield f"Key {report['old_key_id']} would be rotated; nothing was changed."
            return
        yield self.style.SUCCESS(f"Rotated API key “{report['name']}” of {report['account']}.")
        ends = moment(datetime.fromisoformat(report["old_key_expires_at"]))
        yield f"The old one ends {ends}."
        yield "Copy the new one now; only a hash is kept and it cannot be shown again:"
        yield report["key"]
