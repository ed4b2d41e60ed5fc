"""The errors of the API as RFC 9457 problem details."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Self, TypedDict

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as RuleError
from django.db.models import Model, QuerySet
from django.http import JsonResponse
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from salient.observability.metrics import count_refusal

# Keeps responses with an account's data out of every cache.
PRIVATE = {"Cache-Control": "no-store, private", "Vary": "Authorization, Cookie, Origin"}


def first_paragraph(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split())


class Problem(Exception):
    """An expected failure; may be raised anywhere below an API view."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    code: str = "bad_request"
    # What is said where whoever raises it says nothing of their own.
    detail: str = ""
    # The members that it may have besides those of every problem, each with its type.
    extensions: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self, detail: str = "", *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        self.detail = detail or self.detail
        super().__init__(self.detail)
        self.headers = dict(headers or {})
        self.members = members

    @classmethod
    def meanings(cls) -> Mapping[str, str]:
        """Return what its `code` may be, each with when it is answered."""
        return {cls.code: first_paragraph(cls.__doc__)}

    def as_dict(self) -> dict[str, Any]:
        return {
            "type": f"urn:salient:problem:{self.code}",
            "title": self.status.phrase,
            "status": int(self.status),
            "code": self.code,
            "detail": self.detail,
            **self.members,
        }

    def as_response(self) -> JsonResponse:
        """Make the response of a refusal, which counts in /metrics."""
        count_refusal(self.code)
        return JsonResponse(
            self.as_dict(),
            status=self.status,
            content_type="application/problem+json",
            headers=self.headers,
        )


class Unauthenticated(Problem):
    """No key or token, or one that is unknown, revoked or expired."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Problem):
    """The caller lacks the scope or the role, or a cookie came from another site's page."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class NotFound(Problem):
    """It does not exist, or the caller may not see it; `what` is the kind of thing.

    `what` comes from the path or the body, as in “session”. Whoever may not know that the account
    exists is answered without it.
    """

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    extensions = {"what": str}

    def __init__(self, what: str = "") -> None:
        members: dict[str, Any] = {"what": what} if what else {}
        super().__init__(f"There is no such {what or 'thing'} here.", **members)


def first_or_404[Row: Model](rows: QuerySet[Row], what: str) -> Row:
    """Return the first row; raises NotFound where there is none, which says what is missing."""
    found = rows.first()
    if found is None:
        raise NotFound(what)
    return found


class UnknownRoute(Problem):
    """The path is mistyped; `nearest` is the most similar route, also where its object is not."""

    status = HTTPStatus.NOT_FOUND
    code = "unknown_route"
    extensions = {"nearest": str}

    def __init__(self, nearest: str) -> None:
        super().__init__(f"There is no such route; the nearest is {nearest}.", nearest=nearest)


class MethodNotAllowed(Problem):
    """See the header `Allow`."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        names = ", ".join(allowed)
        super().__init__(f"{method} is not allowed here; use {names}.", headers={"Allow": names})


class BodyTooLarge(Problem):
    """The body is larger than `limit` bytes."""

    status = HTTPStatus.CONTENT_TOO_LARGE
    code = "body_too_large"
    extensions = {"limit": int}

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes.", limit=limit)


class UnsupportedMediaType(Problem):
    """A POST without `Content-Type: application/json`, or with a `Content-Encoding`: bodies are not
    decompressed.
    """

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    detail = "Send the body as application/json."


# Callers choose the names and their number. More errors than are read out of a ValidationError are
# only counted: each costs as much to read as the value that it is about.
LONGEST_NAME, MOST_ERRORS, MOST_READ = 100, 20, 1_000


class FieldFault(TypedDict):
    """One wrong field, parameter or header, and what is wrong with it."""

    field: str
    message: str


class Invalid(Problem):
    """The body or the query is wrong; `errors` names the fields."""

    code = "invalid_request"
    extensions = {"errors": list[FieldFault]}

    @classmethod
    def of(cls, error: ValidationError) -> Self:
        """Name each field that is wrong; never echo the value that was sent."""
        if error.error_count() > MOST_READ:
            return cls.field("body", f"{error.error_count():,} of its values are wrong")
        errors = [
            (_field(row), _message(row))
            for row in error.errors(include_input=False, include_url=False)
        ]
        return cls.fields(errors)

    @classmethod
    def fields(cls, errors: list[tuple[str, str]]) -> Self:
        """Make the problem from (field, message) pairs."""
        errors = [(name[:LONGEST_NAME], message) for name, message in errors[:MOST_ERRORS]]
        detail = "; ".join(f"{name}: {message}" for name, message in errors)
        return cls(detail, errors=[{"field": name, "message": text} for name, text in errors])

    @classmethod
    def of_rules(cls, error: RuleError) -> Self:
        """Name each field that a model's rules refuse; a rule of several fields is the body's."""
        found = error.message_dict if hasattr(error, "error_dict") else {"body": error.messages}
        return cls.fields(
            [
                ("body" if name == NON_FIELD_ERRORS else name, " ".join(messages))
                for name, messages in found.items()
            ]
        )

    @classmethod
    def field(cls, name: str, message: str) -> Self:
        return cls.fields([(name, message)])


class FieldError(ValueError):
    """Raised by a validator of several fields; names the field that is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def _field(row: ErrorDetails) -> str:
    """Return the name of the field; an error without a field belongs to the body."""
    own = row.get("ctx", {}).get("error")
    path = ".".join(str(part) for part in row["loc"])
    return path or (own.field if isinstance(own, FieldError) else "body")


def _message(row: ErrorDetails) -> str:
    """Return the message of our own validator, otherwise Pydantic's."""
    own = row.get("ctx", {}).get("error") if row["type"] == "value_error" else None
    return str(own) if own is not None else row["msg"]


class Unavailable(Problem):
    """The database does not answer: try again after `Retry-After`."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"

    def __init__(self, detail: str = "", *, retry_after: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class InternalError(Problem):
    """An error of the server; its log has the details.

    What to do: look for the request's id in the server's log.
    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal_error"
    detail = "Something went wrong on our side; it has been logged."
