"""Values as JSON for the database: the same as when `storable` looks at each of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from unittest import TestCase, mock
from uuid import UUID

import msgspec

from salient.database import storable, storable_json


class Row(msgspec.Struct, frozen=True):
    """A struct as those that are sent."""

    value: Any
    id: UUID = UUID(int=7)


VALUES: list[Any] = [
    "plain",
    "NUL \x00",
    "half \ud83d",
    "\ud83d\ude00",
    {"key\x00": 1},
    {"key\ud800": 1},
    2**31 - 1,
    2**31,
    -(2**31),
    -(2**31) + 1,
    2**70,
    [1, [2**40]],
    {"a": {"b": -(2**40)}},
    Decimal(999_999_999),
    Decimal(1_000_000_000),
    Decimal(-1_000_000_000),
    Decimal("1E+12"),
    Decimal("-2.5E+9"),
    Decimal("8.25E-8"),
    Decimal("NaN"),
    Decimal("-NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("-Infinity"),
    Decimal("0.00246696"),
    None,
    True,
    1.5,
]


class StorableJSONTests(TestCase):
    def test_is_what_storable_makes_of_each_value(self) -> None:
        for value in VALUES:
            for whole in (Row(value), [value], {"deep": {"list": [Row(value)]}}):
                with self.subTest(value=repr(value), whole=type(whole).__name__):
                    expected = msgspec.json.encode(storable(whole)).decode()

                    self.assertEqual(storable_json(whole), expected)

    def test_what_can_be_stored_is_encoded_once(self) -> None:
        row = Row({"text": "It cost 1,234,567,890 dollars.", "cost": Decimal("0.0024"), "n": 12})
        with mock.patch(f"{storable.__module__}.storable") as walked:
            found = storable_json(row)

        self.assertEqual(walked.mock_calls, [])
        self.assertEqual(msgspec.json.decode(found)["value"]["n"], 12)
