"""The page for a database that does not answer; the API's handler has its own answer."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from salient.api.problems import Problem
from salient.database import circuit, is_unavailable


class DatabaseUnavailableMiddleware:
    """Answers 503 with Retry-After instead of 500, and a Problem with its own status."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return unavailable() if circuit.is_open else self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, Problem):
            if request.accepts("text/html"):
                page = render_to_string("refused.html", {"detail": error.detail})
                return HttpResponse(page, status=error.status, headers=error.headers)
            return error.as_response()
        if not is_unavailable(error):
            return None
        circuit.suspect()
        return unavailable()


def unavailable() -> HttpResponse:
    """Return the page, rendered without the request: its user would be read from the database."""
    return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": "5"})
