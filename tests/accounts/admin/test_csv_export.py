"""CSV of any length: no row is lost or told twice, and no spreadsheet runs a cell."""

# ruff: noqa: RUF001 - signs that look like others are what is tested
from __future__ import annotations

import csv
import io
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.test import SimpleTestCase, TestCase
from django.utils import timezone

from accounts.audit import csv_export
from accounts.audit.csv_export import Export, Right, as_csv, cell, csv_pages
from accounts.members import support_access
from accounts.models import AuditEntry, User
from tests.support.database.stored import as_platform
from tests.support.factories import make_account, make_audit_entry
from tests.support.people import make_root, opened

ENTRIES = Export("entries", {"id": "id", "account": "account__slug", "object": "object"})


def parsed(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode("utf-8-sig"), newline="")))


class CellTests(SimpleTestCase):
    def test_what_a_spreadsheet_would_run_gets_a_quote_mark(self) -> None:
        for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\0=1", "＝1+3", "＋1", "－1", "＠SUM(1)"):
            self.assertEqual(cell(text), f"'{text}")
        for text in (
            "﹦1",
            "−1",
            " =1",
            "\u200b=1",
            "\ufeff＝1",
            '"=1',
            "'=1+4",
            "\xa0\u202e\xad+1",
        ):
            self.assertEqual(cell(text), f"'{text}")

    def test_what_a_spreadsheet_would_run_after_a_semicolon_or_a_line_gets_one_too(self) -> None:
        for text, shown in (
            ("kunde;=1+1", "kunde;'=1+1"),
            ("12; ＝1", "12;' ＝1"),
            ('x";"=1+6', 'x";\'"=1+6'),
            ("a\t@SUM(1)", "a\t'@SUM(1)"),
            ("a\r\n\r\n-1", "a\r\n\r\n'-1"),
            ("a;\u200b\u2028+1", "a;'\u200b\u2028'+1"),
            ("\t=1", "'\t'=1"),
            (["1;=2"], '["1;\'=2"]'),
        ):
            self.assertEqual(cell(text), shown)

    def test_no_cell_is_a_formula_whichever_separator_the_reader_takes(self) -> None:
        inner = ("", "x", "1;2", 'say "hi"', ";", '"', "\n", ", ", "\t;\n")
        starts = ("=1+1", "＝1", "－1", "@A1", '"=1', " \u200b+1")
        texts = [a + between + b for a in inner for between in inner for b in starts]
        text = as_csv([["id", text, "end"] for text in texts]).decode()
        for separator in ",;\t":
            read = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            cells = [found for row in read for found in row]
            unseen = "\"' \t\r\n\u200b" if separator == "," else '" \t\r\n\u200b'
            formulas = [found for found in cells if found.lstrip(unseen)[:1] in set("=+-@＝＋－＠")]
            self.assertEqual([found for found in formulas if not found.startswith("'")], [])

    def test_a_long_text_costs_linear_work(self) -> None:
        """Each character is looked at a fixed number of times, or this takes hours."""
        for text in ("\n" * 1_000_000, ";\n " * 300_000, '"' * 1_000_000, "; " * 500_000 + "x"):
            self.assertEqual(cell(text).lstrip("'"), text)

    def test_other_texts_and_numbers_stay_as_they_are(self) -> None:
        for text in ("", "1 = 1", "a-b", "ünï", "'quoted'"):
            self.assertEqual(cell(text), text)
        moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
        for value, text in (
            (None, ""),
            (True, "yes"),
            (False, "no"),
            (1, "1"),
            (0, "0"),
            (-1, "-1"),
            (Decimal("0E-8"), "0.00000000"),
            (Decimal("0.00000012"), "0.00000012"),
            (moment, "2026-01-02T03:04:05.000006Z"),
            ({"a": "é"}, '{"a": "é"}'),
        ):
            self.assertEqual(cell(value), text)

    def test_quotes_commas_and_lines_come_back_as_they_went(self) -> None:
        row = ['say "hi", twice', "two\nlines", "a;b"]
        self.assertEqual(parsed(as_csv([row])), [row])

    def test_every_cell_is_quoted_and_numbers_stay_numbers(self) -> None:
        self.assertEqual(as_csv([[-1, Decimal("-0.5"), None]]), b'"-1","-0.5",""\r\n')


class PageTests(TestCase):
    def setUp(self) -> None:
        self.account, self.boss = make_account("acme"), make_root()
        self.right = Right(self.boss.pk, "accounts.view_auditentry")
        # Three of one moment: a page may end between them.
        moment = timezone.now() - timedelta(hours=1)
        for number in range(7):
            at = moment + timedelta(minutes=number // 3)
            make_audit_entry(self.account, object=f"entry {number}", created_at=at)

    def rows(self) -> Any:
        return AuditEntry.objects.filter(action="noted")

    async def pages(self, export: Export = ENTRIES) -> list[bytes]:
        with mock.patch.object(csv_export, "ROWS_PER_PAGE", 2):
            return [page async for page in csv_pages(export, self.rows, self.right)]

    async def test_every_row_is_there_once_oldest_first_whatever_the_pages(self) -> None:
        pages = await self.pages()
        rows = parsed(b"".join(pages))
        self.assertEqual(rows[0], ["id", "account", "object"])
        objects = [row[2] for row in rows[1:]]
        self.assertEqual(sorted(objects), [f"entry {number}" for number in range(7)])
        self.assertEqual([name[-1] < "3" for name in objects[:3]], [True] * 3)
        self.assertEqual(len(pages), 1 + 4)
        self.assertTrue(all(row[1] == "acme" for row in rows[1:]))

    async def test_a_spreadsheet_reads_it_as_utf8(self) -> None:
        pages = await self.pages()
        self.assertEqual([page.count(b"\xef\xbb\xbf") for page in pages], [1, 0, 0, 0, 0])
        self.assertTrue(pages[0].startswith(b'\xef\xbb\xbf"id"'))

    async def test_rows_from_after_the_start_are_left_out(self) -> None:
        rows = await self.cut_after_one(lambda: make_audit_entry(self.account, object="later"))
        self.assertEqual(len(rows), 7)
        self.assertNotIn("later", [row[2] for row in rows])

    async def test_rows_dated_in_the_future_are_there_and_it_ends_all_the_same(self) -> None:
        make = sync_to_async(make_audit_entry)
        future = timezone.now() + timedelta(days=400)
        await make(self.account, object="future", created_at=future)
        rows = await self.cut_after_one(
            lambda: make_audit_entry(
                self.account, object="later", created_at=future + timedelta(seconds=1)
            )
        )
        self.assertEqual([row[2] for row in rows][-1], "future")
        self.assertEqual(len(rows), 8)

    async def test_an_export_without_rows_is_its_headings(self) -> None:
        export = Export("none", ENTRIES.columns)
        pages = [page async for page in csv_pages(export, lambda: self.rows().none(), self.right)]
        self.assertEqual(len(parsed(b"".join(pages))), 1)

    async def test_nobody_listening_nothing_read(self) -> None:
        with mock.patch.object(csv_export, "ROWS_PER_PAGE", 2):
            async with aclosing(csv_pages(ENTRIES, self.rows, self.right)) as pages:
                await anext(pages)
                await anext(pages)
                with mock.patch.object(csv_export, "_read") as read:
                    await pages.aclose()
        read.assert_not_called()

    async def cut_after_one(self, act: Any) -> list[list[str]]:
        """Read the first rows, do something, and read the rest."""
        with mock.patch.object(csv_export, "ROWS_PER_PAGE", 2):
            async with aclosing(csv_pages(ENTRIES, self.rows, self.right)) as pages:
                text = await anext(pages) + await anext(pages)
                await sync_to_async(act)()
                text += b"".join([page async for page in pages])
        return parsed(text)[1:]

    def assert_cut(self, rows: list[list[str]], reason: str) -> None:
        self.assertEqual(len(rows), 3)
        self.assertEqual(rows[-1], [f"INCOMPLETE: the export was ended here, because {reason}."])

    async def test_it_ends_with_the_right_to_it_and_says_so(self) -> None:
        me = User.objects.filter(pk=self.boss.pk)
        for values, reason in (
            ({"is_superuser": False}, "the person who exports may no longer see these rows"),
            ({"is_staff": False}, "the person who exports is no longer one of the staff"),
            ({"is_active": False}, "the person who exports is no longer one of the staff"),
        ):
            with self.subTest(values):
                self.assert_cut(await self.cut_after_one(lambda v=values: me.update(**v)), reason)
                await me.aupdate(is_superuser=True, is_staff=True, is_active=True)

    async def test_it_ends_with_the_support_access(self) -> None:
        await sync_to_async(opened)(self.boss, self.account)
        self.right = Right(self.boss.pk, "accounts.view_auditentry", self.account.pk)
        rows = await self.cut_after_one(self.end_accesses)
        self.assert_cut(rows, "the support access has ended")

    def end_accesses(self) -> None:
        as_platform(support_access.end_all, self.boss)
