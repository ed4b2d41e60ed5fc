"""Bodies are read once and within bounds, whatever they hold."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from django.test import RequestFactory, SimpleTestCase
from pydantic import ValidationError

from salient.api import schemas
from salient.api.problems import MOST_ERRORS, MOST_READ, Invalid
from salient.api.schemas import MOST_VALUES, In, _each_once


class NoteIn(In):
    """A note, with anything else that a client has to say."""

    text: str = ""
    names: list[str] = []
    more: Any = None


def read(body: str) -> NoteIn:
    request = RequestFactory().generic("POST", "/", body.encode(), "application/json")
    try:
        return NoteIn.of_body(request)
    except ValidationError as error:
        raise Invalid.of(error) from None


class ValuesTests(SimpleTestCase):
    """One request must not keep all others waiting while it is read."""

    def refused(self, body: str) -> list[dict[str, str]]:
        with self.assertRaises(Invalid) as caught:
            read(body)
        errors: list[dict[str, str]] = caught.exception.members["errors"]
        return errors

    def test_a_body_of_very_many_small_parts_is_refused(self) -> None:
        part = json.dumps({"type": "text", "text": "a"})
        body = f'{{"more": [{", ".join([part] * 40_000)}]}}'

        self.assertEqual(
            self.refused(body), [{"field": "body", "message": "it holds more than 100,000 values"}]
        )

    def test_it_is_refused_before_it_is_read(self) -> None:
        with mock.patch.object(NoteIn, "model_validate_json") as validate:
            self.refused(f'{{"more": [{"1," * MOST_VALUES}1]}}')
            self.refused(f'{{"more": {"[" * MOST_VALUES}')

        validate.assert_not_called()

    def test_as_many_as_are_allowed_are_read(self) -> None:
        # The object and the list are two values.
        body = f'{{"more": [{"1," * (MOST_VALUES - 2)}1]}}'

        self.assertEqual(len(read(body).more), MOST_VALUES - 1)

    def test_signs_within_texts_are_no_values(self) -> None:
        for text in ("1,2,3\n", '{"a": [1, 2]},', "\\,", '\\",'):
            long = text * MOST_VALUES
            with self.subTest(text):
                self.assertEqual(read(json.dumps({"text": long})).text, long)

    def test_quotes_that_never_close_hide_nothing(self) -> None:
        self.refused('{"more": [' + "1," * MOST_VALUES + '"\\')
        self.assertFalse(schemas._holds_too_much(b'{"text": "' + b"," * 2 * MOST_VALUES))

    def test_very_many_errors_are_counted_and_not_read(self) -> None:
        errors = self.refused(json.dumps({"names": [1] * 30_000}))

        self.assertEqual(errors, [{"field": "body", "message": "30,000 of its values are wrong"}])

    def test_of_fewer_errors_the_first_are_named(self) -> None:
        errors = self.refused(json.dumps({"names": [1] * MOST_READ}))

        self.assertEqual([error["field"] for error in errors[:2]], ["names.0", "names.1"])
        self.assertEqual(len(errors), MOST_ERRORS)

    def test_numbers_that_are_none_are_refused_wherever_they_are(self) -> None:
        for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999"):
            with self.subTest(number):
                [error] = self.refused(f'{{"more": {{"deep": [{number}]}}}}')
                self.assertEqual(error["field"], "body")


class OnceTests(SimpleTestCase):
    def test_a_field_that_comes_twice_is_named_at_any_depth(self) -> None:
        with self.assertRaises(Invalid) as caught:
            read('{"more": {"deep": [{"a": 1, "b": 2, "a": 3}]}}')

        [error] = caught.exception.members["errors"]
        self.assertEqual(error["field"], "a")

    def test_finding_it_compares_no_name_with_every_other(self) -> None:
        compared = 0

        class Name(str):
            __slots__ = ()

            def __eq__(self, other: object) -> bool:
                nonlocal compared
                compared += 1
                return str(self) == str(other)

            __hash__ = str.__hash__

        names = [Name(f"name-{number}") for number in range(500)]
        with self.assertRaises(Invalid):
            _each_once([(name, 1) for name in (*names, Name("name-7"))])

        self.assertLess(compared, 2_000)
