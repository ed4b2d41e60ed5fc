"""The problems with which the server refuses a request before any view sees it."""

from http import HTTPStatus

from salient.api.problems import InternalError, Problem

LONGEST_REASON = 100


class MalformedRequest(Problem):
    """It is not valid HTTP/1.1."""

    code = "malformed_request"

    def __init__(self, reason: str = "") -> None:
        more = f" ({reason[:LONGEST_REASON]})" if reason else ""
        super().__init__(f"This is not valid HTTP/1.1{more}.")


class HeadersTooSlow(Problem):
    """The request line and the headers did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "headers_too_slow"
    detail = "The request line and the headers did not arrive in time."


class UriTooLong(Problem):
    """The address is longer than 8,190 bytes."""

    status = HTTPStatus.URI_TOO_LONG
    code = "uri_too_long"
    detail = "The address is too long; send data in the body."


class HeadersTooLarge(Problem):
    """More than 100 headers, or one longer than 8,190 bytes."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "headers_too_large"
    detail = "There are too many headers, or one of them is too long."


class UnknownTransferCoding(Problem):
    """The body is neither plain nor chunked."""

    status = HTTPStatus.NOT_IMPLEMENTED
    code = "unknown_transfer_coding"
    detail = "This transfer coding is not known; send the body plain or chunked."


class TooManyConnections(Problem):
    """The server has reached its number of connections."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "too_many_connections"
    detail = "The server has as many connections as it takes; try again."


class UnknownHttpVersion(Problem):
    """The server speaks HTTP/1.1 and HTTP/1.0."""

    status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    code = "unknown_http_version"
    detail = "The server speaks HTTP/1.1 and HTTP/1.0."


REFUSALS: dict[int, type[Problem]] = {
    int(kind.status): kind
    for kind in (
        MalformedRequest,
        HeadersTooSlow,
        UriTooLong,
        HeadersTooLarge,
        UnknownTransferCoding,
        TooManyConnections,
        UnknownHttpVersion,
    )
}


def refusal_of(status: int, reason: str) -> Problem:
    """Return the problem of a status; only a malformed request gets the reason in its text."""
    kind = REFUSALS.get(status, InternalError)
    return MalformedRequest(reason) if kind is MalformedRequest else kind()
