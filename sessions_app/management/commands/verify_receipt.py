"""`manage.py verify_receipt RECEIPT`: say whether a receipt of an erasure is genuine."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from salient.ids import parse_uuid
from salient.management.base import Refused, ReportingCommand
from sessions_app.operations.lifecycle.receipts import find, is_genuine


class Command(ReportingCommand):
    """Reads a receipt of this database, or a file that --json has written."""

    writes = False
    help = (
        "Show the receipt of an erased person or account, and verify its signature. Exit code 1 "
        "where it is not genuine."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("receipt", help="its id, or a file with what --json has written")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        key = parse_uuid(options["receipt"])
        found = find(key) if key else _from_file(Path(options["receipt"]))
        if found is None:
            raise Refused(f"There is no receipt {options['receipt']} in this database.")
        document, signature = found
        return {
            "ok": bool(signature) and is_genuine(document, signature),
            "receipt": document,
            "signature": signature,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        for name, value in report["receipt"].items():
            yield f"{name}: {_legible(value)}"
        if not report["signature"]:
            yield "It is not signed: the erasure has not come to its end."
        else:
            yield "The signature is genuine." if report["ok"] else "The signature is WRONG."


def _legible(value: Any) -> Any:
    if isinstance(value, dict):
        value = [f"{name} {many}" for name, many in value.items()]
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else value


def _from_file(path: Path) -> tuple[dict[str, Any], str]:
    try:
        written = json.loads(path.read_text())
        return written["receipt"], written["signature"]
    except OSError as error:
        raise Refused(
            f"“{path}” is neither a receipt's id nor a file that can be read ({error.strerror})."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"{path} holds no receipt: give a file that erase_account --json or "
            "erase_person --json has written."
        ) from error
