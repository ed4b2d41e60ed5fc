"""What a route takes and gives: its decorator reads it, the OpenAPI document describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from types import UnionType
from typing import Any, TypedDict, Unpack, cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from salient.api.problems import Problem
from salient.api.schemas import In, Out, StructOut

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True)
class EventStream:
    """An answer as server-sent events: the type of each event's data by the event's name.

    `str` is plain text, `Problem` a problem document, anything else is JSON of that type. A type
    whose event has no `event:` line is named “”.
    """

    events: Mapping[str, Any]
    media_type: str = "text/event-stream"


@dataclass(frozen=True)
class Text:
    """An answer of another media type than JSON: a CSV, a Markdown file."""

    media_type: str


# A type that Pydantic or msgspec describes is sent as JSON; None is an empty body.
type Answer = type[Any] | UnionType | EventStream | Text | None
# What a view returns: a whole response, or what becomes one with the status of its operation.
type Result = HttpResponseBase | Out | StructOut | None


class Described(TypedDict, total=False):
    """What a view says about itself in its decorator; everything has a default.

    `query` is what a GET reads in the query string and `body` what a POST, PUT or PATCH reads as
    JSON: the view gets it as the keyword `query` or `body`. A body whose fields are all optional
    may be left out. Where none is declared, none is accepted.

    `answer` is the type of the answer, with the status `status`; a tuple of answers differs in the
    media type. `also` are further statuses that are no errors, each with its answer. `problems`
    are the problems besides those that the decorator itself raises. `headers` are the request
    headers that the view reads, and `answer_headers` those of its answers, besides the ones that
    every route or a problem has. `get_is_safe` is False for a GET that has no HEAD. `rate` is the
    kind of calls under which the route is counted; without one a GET reads and the others write.
    """

    query: type[In] | None
    body: type[In] | None
    answer: Answer | tuple[Answer, ...]
    status: int
    also: Mapping[int, Answer]
    problems: tuple[type[Problem], ...]
    headers: tuple[str, ...]
    answer_headers: tuple[str, ...]
    get_is_safe: bool
    rate: str


@dataclass(frozen=True)
class Operation:
    """One route with one or more methods that are described alike; see `Described`."""

    methods: tuple[str, ...]
    # Empty for a route that is open to everybody.
    scope: str
    query: type[In] | None = None
    body: type[In] | None = None
    answer: Answer | tuple[Answer, ...] = None
    status: int = HTTPStatus.OK
    also: Mapping[int, Answer] = field(default_factory=dict)
    problems: tuple[type[Problem], ...] = ()
    headers: tuple[str, ...] = ()
    answer_headers: tuple[str, ...] = ()
    get_is_safe: bool = True
    # Empty for a route that is open to everybody.
    rate: str = ""

    @cached_property
    def body_is_optional(self) -> bool:
        fields = self.body.model_fields.values() if self.body else ()
        return not any(each.is_required() for each in fields)

    def read(self, request: HttpRequest) -> dict[str, In]:
        """Parse the input, by the name under which the view gets it.

        Raises ValidationError or Invalid, which name each field.
        """
        if request.method in WITH_BODY:
            if self.body is None:
                return {}
            return {"body": self.body.of_body(request, may_be_empty=self.body_is_optional)}
        return {} if self.query is None else {"query": self.query.of_query(request)}

    def respond(self, result: Result) -> HttpResponseBase:
        """Make a response of what a view returned."""
        if isinstance(result, HttpResponseBase):
            return result
        if result is None:
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        return result.as_response(self.status)


def open_route[V: Callable[..., Any]](
    *methods: str, **described: Unpack[Described]
) -> Callable[[V], V]:
    """Describe a view that is open to everybody and checks its request itself.

    Without methods it answers every method as it answers GET.
    """

    def describe(view: V) -> V:
        described_as = cast(Any, view)
        operation = Operation(methods or ("GET",), "", **described)
        described_as.operations = dict.fromkeys(operation.methods, operation)
        if methods:
            described_as.methods = methods
        return view

    return describe
