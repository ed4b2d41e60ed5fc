"""`/metrics` for Prometheus, of all processes of this server; behind a token of its own."""

from __future__ import annotations

import asyncio
from secrets import compare_digest

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from salient.api.operations import Text, open_route
from salient.api.problems import InternalError, Problem, Unauthenticated, UnknownRoute
from salient.api.routing import nearest_route
from salient.observability import metrics as recording
from salient.observability.stored import read_stored


@open_route(answer=Text("text/plain"), problems=(Unauthenticated, UnknownRoute, InternalError))
async def metrics(request: HttpRequest) -> HttpResponse:
    """Give the metrics of this server in the format of Prometheus; 404 without METRICS_TOKEN."""
    try:
        require_token(request)
    except Problem as problem:
        return problem.as_response()
    # Imported here: without a token nothing of it is.
    from prometheus_client import CONTENT_TYPE_LATEST  # noqa: PLC0415

    from salient.observability.recorder import exposed  # noqa: PLC0415

    recording.start()
    if recording.recorder is not None:
        recording.recorder.flush()
    text = await asyncio.to_thread(exposed, await read_stored())
    return HttpResponse(
        text, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
    )


def require_token(request: HttpRequest) -> None:
    """Raise UnknownRoute where there is no token, Unauthenticated where another one was sent."""
    wanted: str = settings.METRICS_TOKEN
    if not wanted:
        raise UnknownRoute(nearest_route(request.path_info))
    kind, _, sent = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    is_right = compare_digest(sent.strip().encode(), wanted.encode())
    if kind.lower() != "bearer" or not is_right:
        raise Unauthenticated("Send METRICS_TOKEN as “Authorization: Bearer …”.")
