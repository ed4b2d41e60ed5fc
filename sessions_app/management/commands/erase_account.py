"""`manage.py erase_account ACCOUNT`: erase an archived account; a signed receipt is left."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.tenancy.accounts import read_account
from accounts.tenancy.context import platform_context
from salient.management.base import Misused, ReportingCommand
from sessions_app.operations.lifecycle.accounts import (
    begin,
    check,
    count_rows,
    unfinished_of,
    work,
)
from sessions_app.operations.lifecycle.receipts import of_account


class Command(ReportingCommand):
    """Goes on with what was interrupted, when it is called again; the worker does so, too."""

    help = (
        "Erase an archived account: every row, and its configuration files on this server. The "
        "signed receipt lists rows by table. Exit code 1 while something is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("--reason", help="a ticket's number; the receipt keeps it")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        slug, is_dry = options["account"], options["dry_run"]
        # Its row is gone before the last steps.
        ordered = unfinished_of(slug) if read_account(slug) is None else None
        if ordered is None:
            account = find_account(slug)
            if is_dry:
                check(account)
                with platform_context():
                    return {"account": slug, "found": count_rows(account.pk)}
            if options["reason"] is None:
                raise Misused("Say why: --reason.")
            ordered = begin(account, reason=options["reason"], actor="erase_account")
        elif is_dry:
            return {"account": slug, "found": ordered.remaining}
        receipt = work(ordered)
        return {
            "ok": receipt.finished_at is not None,
            "receipt": of_account(receipt),
            "signature": receipt.signature,
            "error": receipt.error,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if "found" in report:
            yield from (f"{t}: {many} would be erased" for t, many in report["found"].items())
            return
        receipt = report["receipt"]
        yield from (f"{table}: {many} erased" for table, many in sorted(receipt["rows"].items()))
        yield from (f"{table}: {many} left" for table, many in receipt["remaining"].items())
        yield f"files: {len(receipt['files'])} removed"
        if report["ok"]:
            yield f"The erasure is complete. Receipt {receipt['id']}, signed {report['signature']}"
        else:
            yield f"The erasure is not complete: call it again. {report['error']}".strip()
