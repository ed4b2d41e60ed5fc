"""The tool calls that result from each way of sending them, and the time of assembling them."""

import json
from itertools import pairwise
from typing import Any
from unittest import mock

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.runtime.errors import ProviderProtocol
from agents.runtime.events import ToolCall
from agents.runtime.providers.base import MOST_TOOL_CALLS
from agents.runtime.providers.openai import tool_call_assembly
from agents.runtime.providers.openai.tool_call_assembly import MAX_CALL_CHARACTERS, ToolCallAssembly

LATEX = r'{"tex": "\\frac{a}{b}"}'


def piece(
    index: Any = None, call: Any = None, name: Any = None, arguments: Any = None, **more: Any
) -> dict[str, Any]:
    """A piece as a delta holds it, with the fields that are given; `call` is the id."""
    own = {"name": name, "arguments": arguments}
    fields = {"index": index, "id": call, **more}
    function = {key: value for key, value in own.items() if value is not None}
    return {key: value for key, value in fields.items() if value is not None} | {
        "function": function
    }


def assembled(*parts: object) -> list[ToolCall]:
    assembly = ToolCallAssembly(["current_time", "f", "g"])
    for part in parts:
        assembly.add(part)
    return assembly.calls()


def shapes(*parts: object) -> list[tuple[str, str]]:
    """Name and arguments of each call."""
    return [(call.name, call.arguments) for call in assembled(*parts)]


class ToolCallTests(SimpleTestCase):
    def test_fragments_by_index(self) -> None:
        calls = assembled(
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
            {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y":'}},
            {"index": 0, "function": {"arguments": '{"x": 1}'}},
            {"index": 1, "id": "", "function": {"arguments": " 2}"}},
        )
        self.assertEqual(calls, [ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", '{"y": 2}')])

    def test_numbers_that_count_the_pieces(self) -> None:
        for call in ("a", None):
            parts = [
                piece(0, "a", "f", '{"x"'),
                piece(1, call, None, ": "),
                piece(2, call, None, "1}"),
            ]
            self.assertEqual(shapes(*parts), [("f", '{"x": 1}')])
        for call in ("a", "new", None):
            parts = [
                piece(0, "a", "f", '{"x"'),
                piece(1, call, "f", ': "'),
                piece(2, call, "f", '{"}'),
            ]
            self.assertEqual(shapes(*parts), [("f", '{"x": "{"}')])
        parts = [piece(0, "a", "f", ""), piece(1, None, None, '{"x"'), piece(2, None, None, ": 1}")]
        self.assertEqual(shapes(*parts), [("f", '{"x": 1}')])
        after = [piece(0, "a", "f", "{}"), piece(1, None, None, '{"y": 2}'), piece(1, "b", "g")]
        self.assertEqual(shapes(*after), [("f", "{}"), ("g", '{"y": 2}')])

    def test_every_call_numbered_zero_with_an_id_of_its_own(self) -> None:
        calls = assembled(piece(0, "a", "f", "{}"), piece(0, "b", "f", "{}"))
        self.assertEqual([call.id for call in calls], ["a", "b"])

    def test_no_numbers_no_ids_and_an_object_for_arguments(self) -> None:
        calls = assembled(
            {"function": {"name": "f", "arguments": {"x": 1}}},
            {"function": {"name": "g", "arguments": None}},
            {"function": {"arguments": '{"y": 2}'}},
        )
        self.assertEqual(
            calls, [ToolCall("call_0", "f", '{"x":1}'), ToolCall("call_1", "g", '{"y": 2}')]
        )

    def test_calls_are_assembled_from_any_order_of_pieces(self) -> None:
        one, two = ("f", '{"x": 1}'), ("g", '{"y": 2}')
        cases: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
            "a new id for each piece": (
                [
                    piece(0, "1", "f", ""),
                    piece(0, "2", None, '{"x"'),
                    piece(0, "3", "", ": 1}"),
                    piece(0, "4", None, ""),
                ],
                [one],
            ),
            "new ids, and calls that alternate": (
                [
                    piece(0, "1", "f", '{"x"'),
                    piece(1, "2", "g", '{"y"'),
                    piece(0, "3", None, ": 1}"),
                    piece(1, "4", None, ": 2}"),
                ],
                [one, two],
            ),
            "new ids without numbers": (
                [
                    piece(None, "1", "f", ""),
                    piece(None, "2", None, '{"x"'),
                    piece(None, "3", None, ": 1}"),
                ],
                [one],
            ),
            "all numbered 0, without ids": (
                [piece(0, None, "f", '{"x": 1}'), piece(0, None, "g", '{"y": 2}')],
                [one, two],
            ),
            "all numbered 0, without ids, one tool": (
                [piece(0, None, "f", '{"x": 1}'), piece(0, None, "f", '{"x": 1}')],
                [one, one],
            ),
            "all numbered 0, in pieces": (
                [
                    piece(0, None, "f", ""),
                    piece(0, None, None, '{"x": 1}'),
                    piece(0, None, "f", ""),
                    piece(0, None, None, '{"x"'),
                    piece(0, None, None, ": 1}"),
                ],
                [one, one],
            ),
            "all numbered 0, ids that alternate": (
                [
                    piece(0, "a", "f", ""),
                    piece(0, "b", "g", ""),
                    piece(0, "a", None, '{"x": 1}'),
                    piece(0, "b", None, '{"y": 2}'),
                ],
                [one, two],
            ),
            "objects that a server glues": (
                [piece(0, "a", "f", '{"x": 1}'), piece(0, None, None, '{"x": 1}')],
                [one, one],
            ),
            "one id for all": (
                [piece(0, "x", "f", '{"x": 1}'), piece(1, "x", "g", '{"y": 2}')],
                [one, two],
            ),
            "numbers as ids": (
                [piece(None, 0, "f", '{"x": 1}'), piece(None, 1, "g", '{"y": 2}')],
                [one, two],
            ),
            "numbers as text": (
                [piece("0", "a", "f", '{"x"'), piece(0.0, None, None, ": 1}")],
                [one],
            ),
            "the last first": (
                [piece(1, "b", "g", '{"y": 2}'), piece(0, "a", "f", '{"x": 1}')],
                [two, one],
            ),
            "the name last": (
                [piece(0, "a", None, '{"x"'), piece(0, None, None, ": 1}"), piece(0, "a", "f")],
                [one],
            ),
            "the name with each piece": (
                [piece(0, "a", "f", '{"x"'), piece(0, "a", "f", ": 1}"), piece(0, "a", "f", "")],
                [one],
            ),
            "the name with each piece, without ids": (
                [piece(0, None, "f", '{"x"'), piece(0, None, "f", ": 1}"), piece(0, None, "f", "")],
                [one],
            ),
            "the name in pieces": (
                [piece(0, "a", "current_"), piece(0, None, "time"), piece(0, None, None, "{}")],
                [("current_time", "{}")],
            ),
            "numbers that count the pieces": (
                [piece(0, "a", "f", '{"x"'), piece(1, "a", None, ": 1"), piece(2, "a", None, "}")],
                [one],
            ),
            "an empty object first": (
                [piece(0, "a", "f", {}), piece(0, None, None, '{"x": 1}')],
                [one],
            ),
            "an empty object as text first": (
                [piece(0, "a", "f", "{}"), piece(0, None, None, '{"x"'), piece(0, "a", "", ": 1}")],
                [one],
            ),
            "all of it once more at the end": (
                [
                    piece(0, "a", "f", '{"x"'),
                    piece(0, None, None, ": 1}"),
                    piece(0, "a", "f", '{"x": 1}'),
                ],
                [one],
            ),
            "braces in a text": (
                [piece(0, "1", "f", LATEX[:19]), piece(0, "2", None, LATEX[19:])],
                [("f", LATEX)],
            ),
            "no function around them": (
                [{"id": "a", "name": "f", "arguments": {"x": 1}}],
                [("f", '{"x":1}')],
            ),
        }
        for name, (parts, calls) in cases.items():
            with self.subTest(name):
                self.assertEqual(shapes(*parts), calls)

    def test_what_is_no_call_begins_none(self) -> None:
        self.assertEqual(shapes(None, {}, "text", {"function": None}, {"index": 3}), [])

    def test_arguments_arrive_as_the_model_wrote_them(self) -> None:
        for sent, read in (
            ([], "[]"),
            (5, "5"),
            (None, "{}"),
            ("", "{}"),
            ("  ", "  "),
            ("{}{}", "{}{}"),
            ('{"x": "\ud83d\ude80 \ud83d"}', '{"x": "\U0001f680 \ufffd"}'),
        ):
            with self.subTest(sent=sent):
                self.assertEqual(shapes(piece(0, "a", "f", sent)), [("f", read)])

    def test_a_character_cut_in_two_pieces_is_one(self) -> None:
        parts = piece(0, "a", "f", '{"x": "\ud83d'), piece(0, None, None, '\ude80"}')
        self.assertEqual(shapes(*parts), [("f", '{"x": "\U0001f680"}')])
        self.assertEqual(shapes(piece(0, "a", "f\ud83d", "{}")), [("f\ufffd", "{}")])

    def test_what_a_call_carries_is_kept(self) -> None:
        signed = {"google": {"thought_signature": "c2ln"}}
        (call,) = assembled(
            piece(0, "a", "f", "", extra_content=signed, type="function"),
            piece(0, None, None, "{}", extra_content={"google": {"more": 1}}),
            piece(0, None, None, None, extra_content=None, provider_specific_fields={"x": [1]}),
            {"index": 0, "function": {"arguments": "", "strict": True}},
        )
        self.assertEqual(
            call.extra,
            {
                "extra_content": {"google": {"thought_signature": "c2ln", "more": 1}},
                "provider_specific_fields": {"x": [1]},
                "function": {"strict": True},
            },
        )

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 40), max_size=12), st.sampled_from(["", "id"]))
    def test_cuts_do_not_matter(self, cuts: list[int], new_id: str) -> None:
        text = json.dumps({"tex": r"\frac{a}{b}", "list": [{"x": "}{"}, "\\"]})
        for index in (0, None):
            parts = [
                piece(index, f"{new_id}{number}" if new_id else None, None, text[begin:end])
                for number, (begin, end) in enumerate(pairwise([0, *sorted(cuts), len(text)]))
            ]
            self.assertEqual(shapes(piece(index, "a", "f", ""), *parts), [("f", text)])


class BoundTests(SimpleTestCase):
    """A model's calls are bounded in number and size, and cost linear work."""

    def test_fifteen_thousand_empty_calls_are_none(self) -> None:
        self.assertEqual(shapes(*([{}] * 15_000)), [])

    def test_too_many_calls_are_refused(self) -> None:
        parts = [piece(number, f"id{number}", "f", "{}") for number in range(MOST_TOOL_CALLS + 1)]
        self.assertEqual(len(assembled(*parts[:-1])), MOST_TOOL_CALLS)
        with self.assertRaises(ProviderProtocol):
            assembled(*parts)

    def test_too_large_calls_are_refused(self) -> None:
        half = "x" * (MAX_CALL_CHARACTERS // 2)
        for parts in (
            [piece(0, "a", "f", half)] * 3,
            [piece(n, f"{n}", "f", half) for n in range(3)],
            [piece(n, f"{n}", "f", {"x": half}) for n in range(3)],
            [piece(0, "a", "f", "{}", extra_content=half)] * 3,
            [piece(0, half, half, half)],
        ):
            with self.subTest(parts=len(parts)), self.assertRaises(ProviderProtocol):
                assembled(*parts)

    def test_each_piece_of_arguments_is_looked_at_once(self) -> None:
        """The worst order: for each piece it is unclear whether it begins a call."""
        parts = [piece(0, None, "f", '{"x": {')]
        parts += [piece(0, None, None, "{") for _ in range(5_000)]
        scan = tool_call_assembly._Call._scan
        with mock.patch.object(
            tool_call_assembly._Call, "_scan", autospec=True, side_effect=scan
        ) as scanned:
            assembled(*parts)
        self.assertLessEqual(scanned.call_count, len(parts))
        self.assertGreater(scanned.call_count, len(parts) // 2)

    def test_a_fragment_does_not_read_the_calls_before_it(self) -> None:
        assembly = ToolCallAssembly()
        for number in range(MOST_TOOL_CALLS):
            assembly.add(piece(number, f"id{number}", "f", '{"x":'))
        assembly._calls = mock.MagicMock()
        for _ in range(100):
            assembly.add(piece(3, None, None, " 1"))
        self.assertEqual(assembly._calls.mock_calls, [])
