"""docs/security.md: each promise has a row, and what the row names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from django.test import SimpleTestCase

from accounts.auth import key_text, staff_tokens, visitor_tokens
from tests.support.docs import ROOT, quoted, rows

PAGE = ROOT / "docs/security.md"
PROMISES = [*map(str, range(1, 36))]


@cache
def names_of(path: Path) -> set[str]:
    """Return the names of a file's tests as pytest collects them: Class::test."""
    return {
        f"{group.name}::{test.name}"
        for group in ast.parse(path.read_text()).body
        if isinstance(group, ast.ClassDef)
        for test in group.body
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef)
        and test.name.startswith("test_")
    }


class SecurityPageTests(SimpleTestCase):
    def setUp(self) -> None:
        self.table = rows(PAGE, "#", "promise", "control", "tested by")
        self.detours = rows(PAGE, "what staff might do", "what prevents it", "tested by")

    def test_every_promise_has_one_row(self) -> None:
        self.assertEqual([row[0] for row in self.table], PROMISES)

    def test_every_test_that_is_named_exists(self) -> None:
        for promise, *_, kept_by in [*self.table, *self.detours]:
            self.assertTrue(quoted(kept_by), promise)
            for name in quoted(kept_by):
                with self.subTest(promise=promise, test=name):
                    file, _, test = name.partition("::")
                    self.assertRegex(Path(file).name, r"^test_\w+\.py$")
                    self.assertIn(test, names_of(ROOT / file))

    def test_every_promise_names_its_control(self) -> None:
        for number, _, control, _ in self.table:
            with self.subTest(promise=number):
                self.assertTrue(quoted(control))

    def test_every_control_exists(self) -> None:
        named = {name for row in self.table for name in quoted(row[2])}
        self.assertEqual([n for n in named if not (ROOT / n).is_file()], [])

    def test_every_kind_of_key_that_is_shown_is_one(self) -> None:
        shown = set(re.findall(r"Bearer (sal_[a-z]+)_", PAGE.read_text()))
        tokens = (visitor_tokens.TOKEN_PREFIX, staff_tokens.PREFIX)
        kinds = {
            key_text.SECRET,
            key_text.TEST,
            key_text.PUBLISHABLE,
            *(each.rstrip("_") for each in tokens),
        }
        self.assertEqual(shown, kinds)
