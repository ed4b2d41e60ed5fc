"""The cursor of lists."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from uuid import UUID

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from salient.cursor import Cursor


class CursorTests(SimpleTestCase):
    @given(st.datetimes(timezones=st.just(UTC)), st.uuids())
    def test_a_cursor_is_read_as_it_was_written(self, moment: Any, session: UUID) -> None:
        cursor = Cursor(moment, session)
        self.assertEqual(Cursor.read(str(cursor)), cursor)

    @given(st.text())
    def test_any_other_text_is_refused(self, text: str) -> None:
        with self.assertRaisesMessage(ValueError, "give back"):
            Cursor.read(text)
