"""Base classes of the API's request and response schemas; unknown fields are refused."""

from __future__ import annotations

import codecs
import json
import re
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from salient.api.problems import Invalid, NotFound
from salient.ids import parse_uuid

# More than any route has.
MOST_PARAMETERS = 100
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WHOLE = re.compile(r"[0-9]{1,18}")
# UTF-16 and UTF-32 also without their mark: such a text has a NUL among its first bytes.
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _day(value: Any) -> Any:
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("write a day as YYYY-MM-DD")
    return date.fromisoformat(value) if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise ValueError("write a whole number in digits")
    return int(value) if isinstance(value, str) else value


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
        try:
            found = cls.model_validate_json(body)
        except ValidationError:
            if body.startswith(_BYTE_ORDER_MARKS) or b"\0" in body[:4]:
                message = "send UTF-8 without a byte order mark"
                raise Invalid.field("body", message) from None
            raise
        # After validation, as the body is known to be one JSON object by now.
        json.loads(body, object_pairs_hook=_each_once)
        return found

    @classmethod
    def of_query(cls, request: HttpRequest) -> Self:
        """Read the query string, whose values are texts; raises the same errors as `of_body`."""
        return cls.model_validate_strings(_each_once(query_of(request)))


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
        names = [name for name, _ in pairs]
        twice = [name for name in found if names.count(name) > 1]
        raise Invalid.fields([(name, "it is given more than once") for name in twice])
    return found


class Out(BaseModel):
    """Output of the API; an alias is the name on the wire."""

    def as_response(self, status: int = HTTPStatus.OK) -> HttpResponse:
        text = self.model_dump_json(by_alias=True)
        return HttpResponse(text, content_type="application/json", status=status)


def path_uuid(text: str) -> UUID:
    """Read an id of the path; raises NotFound, as for an id that there is not."""
    found = parse_uuid(text)
    if found is None:
        raise NotFound
    return found
