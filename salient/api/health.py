"""Health checks for load balancers: the process lives, the process may get requests."""

import asyncio

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse

from salient.database import in_database
from salient.database.migration_state import readiness_problem

# Load balancers wait a few seconds at most.
READY_SECONDS = 1.5


async def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process answers; does not use the database."""
    return JsonResponse({"status": "ok"})


async def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and every migration is applied, else 503 with the reason."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            problem = await in_database(readiness_problem)
    except (DatabaseError, InterfaceError, TimeoutError):
        problem = "The database does not answer."
    if problem:
        return JsonResponse(
            {"status": "unavailable", "detail": problem}, status=503, headers={"Retry-After": "5"}
        )
    return JsonResponse({"status": "ready"})
