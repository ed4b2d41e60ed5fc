"""A cursor is 32 characters, and no other text means the same place."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from salient.cursor import Cursor, NameCursor


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


class NameCursorTests(SimpleTestCase):
    @given(st.from_regex(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?", fullmatch=True))
    def test_a_name_survives_the_journey(self, name: str) -> None:
        text = str(NameCursor(name))
        self.assertRegex(text, r"^[A-Za-z0-9_-]+$")
        self.assertEqual(NameCursor.read(text), NameCursor(name))

    @given(st.text())
    def test_what_is_no_cursor_is_an_error_or_a_printable_name(self, text: str) -> None:
        try:
            found = NameCursor.read(text)
        except ValueError as error:
            self.assertIn("give back", str(error))
        else:
            self.assertTrue(found.name.isprintable())

    def test_a_place_of_another_list_is_an_error(self) -> None:
        place = Cursor(datetime(2026, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
        for text in ("", "AAAA", "=", str(place), "A" * 400):
            with self.subTest(text=text), self.assertRaisesMessage(ValueError, "give back"):
                NameCursor.read(text)
