"""Health checks for load balancers: the process lives, the process may get requests."""

import asyncio
from http import HTTPStatus
from typing import Literal

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse

from salient.api.operations import open_route
from salient.api.schemas import Out
from salient.database import in_database
from salient.database.upgrades.pending import migrations

# Load balancers wait a few seconds at most.
READY_SECONDS = 1.5


class HealthOut(Out):
    status: Literal["ok", "ready"]


class NotReadyOut(Out):
    """Why the process should get no requests now."""

    status: Literal["unavailable"]
    detail: str


@open_route(answer=HealthOut)
async def healthz(request: HttpRequest) -> JsonResponse:
    """Tell whether the process is alive, without using the database."""
    return JsonResponse({"status": "ok"})


@open_route(answer=HealthOut, also={HTTPStatus.SERVICE_UNAVAILABLE: NotReadyOut})
async def readyz(request: HttpRequest) -> JsonResponse:
    """Tell whether the process is ready for requests; a 503 says what it is waiting for."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            problem = await in_database(migrations.find_problem)
    except (DatabaseError, InterfaceError, TimeoutError):
        problem = "The database does not answer."
    if problem:
        return JsonResponse(
            {"status": "unavailable", "detail": problem}, status=503, headers={"Retry-After": "5"}
        )
    return JsonResponse({"status": "ready"})
