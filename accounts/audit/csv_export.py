"""CSV exports of any length, in constant memory; the audit log notes each.

Rows are read in pages, each in a platform context of its own.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.fields.tuple_lookups import (
    Tuple,
    TupleGreaterThan,
    TupleLessThanOrEqual,
)
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from accounts.audit.notes import as_changes
from accounts.members import support_access
from accounts.models import Account, ActorKind, AuditAction, AuditEntry, User
from accounts.models.audit import no_account
from accounts.tenancy.context import platform_context
from accounts.tenancy.replica import has_replica, read_as_platform
from salient.database import in_database
from salient.texts import UNSEEN

ROWS_PER_PAGE = 2000
# Spreadsheets recognise UTF-8 by this mark.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The signs that begin a formula, with their full-width, small, raised, lowered and mathematical
# variants.
_SIGNS = r"=+\-@＝＋－＠﹦﹢﹣﹫⁼⁺⁻₌₊₋−"  # noqa: RUF001
# The characters that end a cell in a program that splits at a semicolon, a tab or a new line: such
# a program takes the quotes of this file for text. Commas stand inside quotes.
_ENDS = r";\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029"
# Characters that may come before the sign: invisible ones and quotes.
_BEFORE = rf"{UNSEEN}\"'`´‘’‚‛“”„‟«»‹›"  # noqa: RUF001
_BEFORE_A_SIGN = re.compile(rf"(?:\A|[{_ENDS}])[{_ENDS}{_BEFORE}]*")
_END = re.compile(rf"[{_ENDS}](?![{_ENDS}])")
_SIGN, _HIDING = re.compile(rf"[{_SIGNS}]"), ("\t", "\r", "\n", "\0")
_WORDS = {None: "", True: "yes", False: "no"}

# A look-up path or an expression by the heading of its column.
type Columns = Mapping[str, str | Combinable]


@dataclass(frozen=True, slots=True)
class Export:
    """What is exported; `moment` and `key` together order the rows without a tie."""

    name: str
    columns: Columns
    moment: str = "created_at"
    key: Sequence[str] = ("id",)
    # Whether rows that are added during the export are left out, so that it ends.
    is_cut: bool = True


@dataclass(frozen=True, slots=True)
class Right:
    """The right to an export; `texts_of` is the account whose texts are in it."""

    user_id: Any
    permission: str
    texts_of: UUID | None = None

    def refusal(self) -> str:
        """Return why the right has been lost, "" while it holds; inside the platform context."""
        user = User.objects.filter(pk=self.user_id).first()
        if user is None or not user.is_active or not user.is_staff:
            return "the person who exports is no longer one of the staff"
        if not user.has_perm(self.permission):
            return "the person who exports may no longer see these rows"
        if self.texts_of is not None and support_access.current_access(user, self.texts_of) is None:
            return "the support access has ended"
        return ""


type Rows = Callable[[], QuerySet[Any]]


def csv_response(export: Export, rows: Rows, right: Right) -> StreamingHttpResponse:
    """Stream the rows, oldest first; `rows` is called in a platform context for each page."""
    day = timezone.now().date()
    return StreamingHttpResponse(
        csv_pages(export, rows, right),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{export.name}-{day}.csv"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        },
    )


async def csv_pages(export: Export, rows: Rows, right: Right) -> AsyncGenerator[bytes]:
    """Yield the CSV page by page; nothing more is read when the client disconnects.

    The right is checked for each page: where it has been lost, the last line says so.
    """
    yield BYTE_ORDER_MARK + as_csv([list(export.columns)])
    end = await in_database(_end, export, rows) if export.is_cut else None
    last: Sequence[Any] | None = None
    while True:
        text, last, has_more = await in_database(_read, export, rows, right, end, last)
        if text:
            yield text
        if not has_more:
            return


def _end(export: Export, rows: Rows) -> Sequence[Any]:
    """Return the place of the last row, which may be dated in the future."""
    place = (export.moment, *export.key)

    def newest() -> Sequence[Any]:
        ordered = rows().order_by(*(f"-{part}" for part in place))
        return ordered.values_list(*place).first() or ()

    return read_as_platform(newest)


def _read(
    export: Export,
    rows: Rows,
    right: Right,
    end: Sequence[Any] | None,
    last: Sequence[Any] | None,
) -> tuple[bytes, Sequence[Any] | None, bool]:
    """Read one page; the right is always that of the primary database."""
    page = partial(_page, export, rows, end, last)
    with platform_context():
        if reason := right.refusal():
            return (
                as_csv([[f"INCOMPLETE: the export was ended here, because {reason}."]]),
                last,
                False,
            )
        if end == ():
            return b"", last, False
        found = None if has_replica() else page()
    if found is None:
        found = read_as_platform(page)
    if not found:
        return b"", last, False
    width = len(export.key) + 1
    lines = as_csv(row[width:] for row in found)
    return lines, found[-1][:width], len(found) == ROWS_PER_PAGE


def _page(
    export: Export, rows: Rows, end: Sequence[Any] | None, last: Sequence[Any] | None
) -> list[Any]:
    place = (export.moment, *export.key)
    wanted = rows().order_by(*place)
    if end is not None:
        wanted = wanted.filter(TupleLessThanOrEqual(Tuple(*map(F, place)), tuple(end)))
    if last is not None:
        wanted = wanted.filter(TupleGreaterThan(Tuple(*map(F, place)), tuple(last)))
    return list(wanted.values_list(*place, *export.columns.values())[:ROWS_PER_PAGE])


def as_csv(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        [cell(value) for value in row] for row in rows
    )
    return text.getvalue().encode()


def cell(value: Any) -> str:
    """Write a value so that a spreadsheet shows it and never runs it."""
    match value:
        case None | True | False:
            return _WORDS[value]
        case str():
            return harmless(value)
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        case Decimal():
            return f"{value:f}"
        case dict() | list():
            return harmless(json.dumps(value, ensure_ascii=False, default=str))
    return str(value)


def harmless(text: str) -> str:
    """Put a quote mark before what is a formula, at the start or after what may end a cell.

    Numbers are no texts: they never come here, so a negative one stays a number.
    """
    start = "'" if text.startswith(_HIDING) or _starts_formula(text) else ""

    def marked(found: re.Match[str]) -> str:
        return _END.sub(r"\g<0>'", found[0]) if _SIGN.match(text, found.end()) else found[0]

    return start + _BEFORE_A_SIGN.sub(marked, text)


def _starts_formula(text: str) -> bool:
    found = _BEFORE_A_SIGN.match(text)
    return found is not None and _SIGN.match(text, found.end()) is not None


# In one statement, whatever the number of accounts.
_NOTE_EVERYWHERE = """
    INSERT INTO audit_log (id, account_id, actor_kind, actor_id, actor, action, object_type,
        object_id, object, changes, reason)
    SELECT gen_random_uuid(), id, 'staff', %s, %s, 'noted', %s, '', %s, %s::jsonb, ''
    FROM accounts
"""
OF_ALL = "CSV export of all accounts"


def note_export(
    request: HttpRequest, account: Account | None, table: str, filters: Mapping[str, str]
) -> None:
    """Note in the audit log who exported which rows.

    An export of all accounts is noted for each of them, with the days as its only filters: an id or
    an e-mail address among the filters belongs to another account.
    """
    note: dict[str, Any] = {
        "actor_kind": ActorKind.STAFF,
        "actor_id": str(request.user.pk),
        "actor": request.user.get_username(),
        "action": AuditAction.NOTED,
        "object_type": table,
        "object_id": "",
    }
    account_id = no_account() if account is None else account.pk
    AuditEntry.objects.create(
        **note, account_id=account_id, object="CSV export", changes=as_changes(filters)
    )
    if account is None:
        days = {name: value for name, value in filters.items() if name in {"from", "to"}}
        _note_everywhere(note | {"object": OF_ALL, "changes": as_changes(days)})


def _note_everywhere(note: Mapping[str, Any]) -> None:
    if settings.DATABASE_DISTRIBUTED:
        # A cluster refuses INSERT … SELECT under row-level security.
        ids = Account.objects.values_list("pk", flat=True)
        AuditEntry.objects.bulk_create(AuditEntry(account_id=each, **note) for each in ids)
        return
    names = ("actor_id", "actor", "object_type", "object")
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE_EVERYWHERE, [*(note[name] for name in names), json.dumps(note["changes"])]
        )
