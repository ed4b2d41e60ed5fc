"""YAML that is written reads back the same; removing a key leaves the rest as it was typed."""

from __future__ import annotations

import random
import time

from django.test import SimpleTestCase

from agents.config import ConfigProblem
from agents.config.versions.diff import side_by_side, unified
from agents.config.yaml.excerpts import excerpts_of
from agents.config.yaml.source import parse
from agents.config.yaml.text import dump, with_value, without

TYPED = """\
# top
model: a:b
# about the temperature
temperature: 1  # warm
timeouts:
  stall: 3
  # both
  connect: 2
system_prompt: |
  # Heading
  text

  more

# about retries
retries: 1
"""


class WrittenTests(SimpleTestCase):
    def test_every_value_comes_back_as_it_was(self) -> None:
        for text in (
            *("no", "1e3", "null", "12:30", ".5", "0o7", "", " ", "a: b", "# x", "- x", "x\ny\n"),
            *("x\ny", "  lead\nx", "trail \nx", "\n\nx", "x\x85y", "l\u2028m", "a\tb\nc", "ä€😀"),
            *("é\r\nb", "a\n\n  b\n\n", "w " * 200, "'", '"', "{{x}}", "%", "@", "`", "!tag", "&a"),
        ):
            for content in ({"key": text}, {"a": {"b": [text, 1, 0.5, True, None]}}):
                with self.subTest(content=content):
                    document = parse(dump(content))
                    self.assertEqual((document.faults, document.content), ([], content))

    def test_a_text_of_several_lines_stays_readable(self) -> None:
        self.assertEqual(dump({"p": "Be kind.\nBe brief.\n"}), "p: |\n  Be kind.\n  Be brief.\n")

    def test_nothing_is_an_empty_text(self) -> None:
        self.assertEqual(dump({}), "")


class TakenOutTests(SimpleTestCase):
    def test_one_key_goes_and_the_rest_stays_as_it_was_typed(self) -> None:
        for key, gone in (
            ("model", "model: a:b\n"),
            ("temperature", "temperature: 1  # warm\n"),
            ("timeouts.stall", "  stall: 3\n"),
            ("timeouts.connect", "  connect: 2\n"),
            ("timeouts", "timeouts:\n  stall: 3\n  # both\n  connect: 2\n"),
            ("system_prompt", "system_prompt: |\n  # Heading\n  text\n\n  more\n"),
            ("retries", "retries: 1\n"),
        ):
            with self.subTest(key=key):
                self.assertEqual(without(TYPED, key), TYPED.replace(gone, ""))

    def test_the_last_key_of_a_mapping_takes_it_along(self) -> None:
        self.assertEqual(
            without("timeouts:\n  stall: 1\nretries: 1\n", "timeouts.stall"), "retries: 1\n"
        )

    def test_what_is_on_one_line_is_written_anew(self) -> None:
        self.assertEqual(without("{retries: 1, model: x}", "retries"), "model: x\n")
        self.assertEqual(
            without("timeouts: {stall: 1, total: 2}", "timeouts.stall"), "timeouts:\n  total: 2\n"
        )

    def test_what_is_not_there_is_not_taken_out(self) -> None:
        for key in ("gone", "timeouts.gone", "", "model.x"):
            with self.subTest(key=key), self.assertRaises(KeyError):
                without(TYPED, key)


class ComparedTests(SimpleTestCase):
    def test_long_texts_of_few_different_lines_take_no_minutes(self) -> None:
        choice = random.Random(1)  # noqa: S311 - no secret
        old, new = ("\n".join(choice.choices("ab", k=30_000)) for _ in range(2))
        began = time.monotonic()
        side_by_side(old, new)
        self.assertLess(time.monotonic() - began, 5)

    def test_lines_stand_beside_each_other_with_their_numbers(self) -> None:
        lines = side_by_side("a\nb\nc\n", "a\nB\nc\nd\n")

        self.assertEqual(
            [(line.kind, line.old_number, line.new_number) for line in lines],
            [("equal", 1, 1), ("replace", 2, 2), ("equal", 3, 3), ("insert", None, 4)],
        )

    def test_what_is_far_from_a_change_is_left_out(self) -> None:
        before = "".join(f"{number}\n" for number in range(50))
        lines = side_by_side(before, before.replace("25\n", "x\n"))

        self.assertEqual((lines[0].kind, lines[-1].kind, len(lines)), ("skip", "skip", 9))

    def test_equal_texts_have_no_difference(self) -> None:
        self.assertEqual((side_by_side("a", "a"), unified("a", "a")), ([], ""))


class ExcerptTests(SimpleTestCase):
    def test_the_caret_stands_below_the_key(self) -> None:
        problem = ConfigProblem("published here", "unknown key", 2, "timeouts.stal")
        (one,) = excerpts_of([problem], "timeouts:\n\t stal: 1\n")

        self.assertEqual((one.where, one.line, one.caret), ("Line 2", "\t stal: 1", "\t ^"))

    def test_a_problem_of_a_file_below_has_no_excerpt(self) -> None:
        (one,) = excerpts_of([ConfigProblem("acme/account.yaml", "wrong", 1)], "retries: 1\n")

        self.assertEqual((one.where, one.caret), ("acme/account.yaml, line 1", ""))


class SetTests(SimpleTestCase):
    def test_one_value_changes_and_the_rest_stays_as_it_was_typed(self) -> None:
        prompt = TYPED[TYPED.index("system_prompt") : TYPED.index("\n# about retries")]
        for key, value, before, after in (
            ("model", "c:d", "model: a:b\n", "model: c:d\n"),
            ("temperature", 0.5, "1  # warm", "0.5  # warm"),
            ("system_prompt", "One.\n\n# Two\n", prompt, "system_prompt: |\n  One.\n\n  # Two\n"),
            ("tools", ["x"], "retries: 1\n", "retries: 1\ntools:\n- x\n"),
            ("retries", 2, "retries: 1\n", "retries: 2\n"),
        ):
            with self.subTest(key=key):
                changed = with_value(TYPED, key, value)
                self.assertEqual(changed, TYPED.replace(before, after))
                self.assertEqual(parse(changed).content, parse(TYPED).content | {key: value})

    def test_comments_below_the_last_value_stay(self) -> None:
        end = "\n# kept\n  # as it is\n"
        for value in (
            *("1", "1  # warm", "|\n  one\n  # two", "|-\n  one\n\n  # two", ">\n  one\n  two"),
            *("\n  b: |\n    # one\n  c: 1", "\n- 1\n- [2,\n   3]", "'one\n\n  two'", "[1,\n  2]"),
            "",
        ):
            for text in (f"m: x\na: {value}\n{end}", f"a: {value}\n{end}m: x\n"):
                with self.subTest(text):
                    changed = with_value(text, "a", "new\nlines")
                    self.assertIn(f"{end}", changed)
                    self.assertEqual(changed.replace(end, "").count("#"), 0 + ("warm" in changed))
                    self.assertIn(end, without(text, "a"))
                    self.assertNotIn("one", without(text, "a"))
        # Where it is, it would be a line of the text.
        self.assertEqual(
            with_value("a: 1\n\n  # why\n# end\n  # b\nb: 2\n", "a", "x\ny"),
            "a: |-\n  x\n  y\n\n# why\n# end\n# b\nb: 2\n",
        )
        self.assertEqual(with_value("a: 1\n# end", "a", 2), "a: 2\n# end")
        self.assertEqual(without("m: x\na: 1\n# end", "a"), "m: x\n# end")

    def test_any_text_takes_any_value(self) -> None:
        for text in ("", "# only\n", "a: 1", "{a: 1, b: [2]}", "a: '#1' # x\n", "b:\n- 1\n# end"):
            for value in ("x # y", "one\ntwo", "", 1, None, ["- a", "b: c"], {"c": "|"}):
                for key in ("a", "b", "new"):
                    with self.subTest(text=text, value=value, key=key):
                        read = parse(with_value(text, key, value))
                        self.assertEqual(read.faults, [])
                        self.assertEqual(read.content, parse(text).content | {key: value})
