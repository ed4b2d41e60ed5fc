"""Base classes of the API's request and response schemas; unknown fields are refused."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from datetime import date
from http import HTTPStatus
from itertools import islice
from math import isinf
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from salient.api.origins import is_origin
from salient.api.problems import FieldError, Invalid, NotFound
from salient.cursor import Cursor, NameCursor
from salient.ids import parse_uuid

# More than any route has.
MOST_PARAMETERS = 100
# Of a JSON body: texts, numbers, lists and objects. The event loop waits while they are read.
MOST_VALUES = 100_000
LONGEST_PAGE = 200
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WHOLE = re.compile(r"[0-9]{1,18}")
# UTF-16 and UTF-32 also without their mark: such a text has a NUL among its first bytes.
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# A text, also one without an end, or what begins a value or comes before another one.
_TEXT_OR_VALUE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([,\[{])', re.DOTALL)
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _day(value: Any) -> Any:
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("write a day as YYYY-MM-DD")
    return date.fromisoformat(value) if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise ValueError("write a whole number in digits")
    return int(value) if isinstance(value, str) else value


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("use printable characters, without spaces at the ends")
    return text


def _an_origin(text: str) -> str:
    if not is_origin(text):
        raise ValueError("write it as browsers do: https://shop.example")
    return text


# A name on one line; and where pages come from.
Printable = Annotated[str, AfterValidator(_printable)]
Origin = Annotated[str, AfterValidator(_an_origin)]
# For query parameters: Pydantic itself would accept a timestamp, or “ 1_0.0”.
Day = Annotated[date, BeforeValidator(_day)]
Whole = Annotated[int, BeforeValidator(_whole)]


class In(BaseModel):
    """Input of callers: a value of another type is refused, not converted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def of_body(cls, request: HttpRequest, *, may_be_empty: bool = False) -> Self:
        """Read the JSON of the body; raises ValidationError or Invalid, which name each field."""
        body = request.body or (b"{}" if may_be_empty else b"")
        if _holds_too_much(body):
            raise Invalid.field("body", f"it holds more than {MOST_VALUES:,} values")
        try:
            found = cls.model_validate_json(body)
        except ValidationError:
            if body.startswith(_BYTE_ORDER_MARKS) or b"\0" in body[:4]:
                message = "send UTF-8 without a byte order mark"
                raise Invalid.field("body", message) from None
            raise
        # After validation, as the body is known to be one JSON object by now.
        _read_once.decode(body.decode())
        return found

    @classmethod
    def of_query(cls, request: HttpRequest) -> Self:
        """Read the query string, whose values are texts; raises the same errors as `of_body`."""
        return cls.model_validate_strings(_each_once(query_of(request)))


type PageCursor = Annotated[Cursor, PlainValidator(Cursor.read)]
type PageLimit = Annotated[Whole, Field(ge=1, le=LONGEST_PAGE)]


class PageIn(In):
    """A page of a list: at most `limit` objects, those after the `cursor` of the page before."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    limit: PageLimit = 50
    cursor: PageCursor | None = None


class OlderPageIn(PageIn):
    """A page of a list that had its cursor as `before`, which still works."""

    before: PageCursor | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.cursor is not None and self.before is not None:
            raise FieldError("before", "it is another name of `cursor`: give one of them")
        return self

    @property
    def place(self) -> Cursor | None:
        return self.cursor or self.before


class ShortListIn(In):
    """The whole of a list that is short, or a page of `limit` objects of it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    limit: PageLimit | None = None
    cursor: PageCursor | None = None


class NamedListIn(In):
    """The same of a list that is ordered by names."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    limit: PageLimit | None = None
    cursor: Annotated[NameCursor, PlainValidator(NameCursor.read)] | None = None


def query_of(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the query parameters in order; raises Invalid when they are not UTF-8."""
    text = request.META["QUERY_STRING"]
    try:
        found = parse_qsl(
            text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MOST_PARAMETERS
        )
    except ValueError as error:
        raise Invalid.field("query", f"send at most {MOST_PARAMETERS} parameters") from error
    for name, value in found:
        if _LONE_SURROGATE.search(name):
            raise Invalid.field("query", "the name of a parameter is not UTF-8")
        if _LONE_SURROGATE.search(value):
            raise Invalid.field(name, "the value is not UTF-8")
    return found


def refuse_query(request: HttpRequest) -> None:
    """Raise Invalid when a route without query parameters gets some."""
    if not request.META["QUERY_STRING"]:
        return
    names = dict(query_of(request)) or {"query": ""}
    where = "no parameter in the address is read here"
    raise Invalid.fields([(name, where) for name in names])


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = [name for name in found if times[name] > 1]
        raise Invalid.fields([(name, "it is given more than once") for name in twice])
    return found


def _constant(name: str) -> Any:
    raise Invalid.field("body", f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise Invalid.field("body", "it holds a number that is too large")
    return number


# Pydantic reads NaN, Infinity and 1e999 too, and they would be written on as null.
_read_once = json.JSONDecoder(
    object_pairs_hook=_each_once, parse_constant=_constant, parse_float=_finite
)


def _holds_too_much(body: bytes) -> bool:
    """Whether a JSON text has too many values, without reading it further than it takes to see."""
    # An upper bound, because texts have such signs too; and a value takes a byte at least.
    if len(body) <= MOST_VALUES or sum(map(body.count, (b",", b"[", b"{"))) <= MOST_VALUES:
        return False
    values = (found for found in _TEXT_OR_VALUE.finditer(body) if found.lastindex)
    return next(islice(values, MOST_VALUES, None), None) is not None


class Out(BaseModel):
    """Output of the API; an alias is the name on the wire."""

    @classmethod
    def of_row(cls, row: object, **others: Any) -> Self:
        """Return `others`, and of the row the attributes that are named as the other fields."""
        names = cls.model_fields.keys() - others.keys()
        return cls(**{name: getattr(row, name) for name in names}, **others)

    def as_response(self, status: int = HTTPStatus.OK) -> HttpResponse:
        # As bytes: Django would look for the charset of a text twice.
        body = self.__pydantic_serializer__.to_json(self, by_alias=True)
        return HttpResponse(body, content_type="application/json", status=status)


class StructOut(msgspec.Struct):
    """Output that is made for each turn: a model takes seven times the CPU of a struct."""

    def as_response(self, status: int = HTTPStatus.OK) -> HttpResponse:
        body = msgspec.json.encode(self)
        return HttpResponse(body, content_type="application/json", status=status)


class ListOut[Object](Out):
    """A page of a list; `next_cursor` is the `cursor` of the next page, null after the last.

    A page may hold fewer objects than were asked for, and still have more after it.
    """

    data: list[Object]
    has_more: bool
    next_cursor: str | None

    @classmethod
    def of_page(cls, data: list[Object], next_cursor: str | None, **more: Any) -> Self:
        """Return the page; `more` are the fields that the list has besides."""
        return cls(data=data, has_more=next_cursor is not None, next_cursor=next_cursor, **more)


def path_uuid(text: str, what: str) -> UUID:
    """Read the id of a `what` in the path; raises NotFound, as for an id that there is not."""
    found = parse_uuid(text)
    if found is None:
        raise NotFound(what)
    return found
