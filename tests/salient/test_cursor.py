"""A cursor is 32 characters, and no other text means the same place."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from salient.cursor import Cursor


class CursorTests(SimpleTestCase):
    @given(st.datetimes(timezones=st.just(UTC)), st.uuids())
    def test_a_cursor_survives_the_journey(self, moment: Any, row: UUID) -> None:
        cursor = Cursor(moment, row)
        self.assertEqual(Cursor.read(str(cursor)), cursor)

    @given(st.text())
    def test_what_is_no_cursor_is_an_error_and_no_accident(self, text: str) -> None:
        with self.assertRaisesMessage(ValueError, "give back"):
            Cursor.read(text)

    def test_it_is_opaque_and_of_one_length(self) -> None:
        row = UUID("01a1fc25-54a5-73cb-9ef7-9e7a28537303")
        for year in (1, 1969, 2026, 9999):
            moment = datetime(year, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
            with self.subTest(year=year):
                self.assertRegex(str(Cursor(moment, row)), r"^[A-Za-z0-9_-]{32}$")

    def test_a_moment_outside_of_the_calendar_or_a_wrong_length_is_an_error(self) -> None:
        for text in (
            "f" + "_" * 31,
            "gAAA" + "A" * 28,
            "A" * 31,
            "A" * 33,
            "A" * 32 + "=",
            " " + "A" * 32,
        ):
            with self.subTest(text=text), self.assertRaisesMessage(ValueError, "give back"):
                Cursor.read(text)
