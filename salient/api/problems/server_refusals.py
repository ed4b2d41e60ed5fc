"""The problems with which the server refuses a request before any view sees it."""

from http import HTTPStatus

from salient.api.problems import InternalError, Problem

LONGEST_REASON = 100


class ServerRefusal(Problem):
    """A refusal whose text does not depend on the request."""

    text: str

    def __init__(self, reason: str = "") -> None:
        more = f" ({reason[:LONGEST_REASON]})" if reason else ""
        super().__init__(f"{self.text}{more}.")


class MalformedRequest(ServerRefusal):
    """It is not valid HTTP/1.1."""

    code = "malformed_request"
    text = "This is not valid HTTP/1.1"


class HeadersTooSlow(ServerRefusal):
    """The request line and the headers did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "headers_too_slow"
    text = "The request line and the headers did not arrive in time"


class UriTooLong(ServerRefusal):
    """The address is longer than 8,190 bytes."""

    status = HTTPStatus.URI_TOO_LONG
    code = "uri_too_long"
    text = "The address is too long; send data in the body"


class HeadersTooLarge(ServerRefusal):
    """More than 100 headers, or one longer than 8,190 bytes."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "headers_too_large"
    text = "There are too many headers, or one of them is too long"


class UnknownTransferCoding(ServerRefusal):
    """The body is neither plain nor chunked."""

    status = HTTPStatus.NOT_IMPLEMENTED
    code = "unknown_transfer_coding"
    text = "This transfer coding is not known; send the body plain or chunked"


class TooManyConnections(ServerRefusal):
    """The server has reached its number of connections."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "too_many_connections"
    text = "The server has as many connections as it takes; try again"


class UnknownHttpVersion(ServerRefusal):
    """The server speaks HTTP/1.1 and HTTP/1.0."""

    status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    code = "unknown_http_version"
    text = "The server speaks HTTP/1.1 and HTTP/1.0"


REFUSALS = {
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
    kind = REFUSALS.get(status)
    if kind is None:
        return InternalError()
    return kind(reason) if kind is MalformedRequest else kind()
