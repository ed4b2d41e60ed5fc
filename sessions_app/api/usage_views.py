"""The API for what an account used."""

from __future__ import annotations

from django.http import HttpResponse

from accounts.auth.decorators import ApiRequest, api_view
from accounts.models import Scope
from salient.database import in_database
from sessions_app.api.usage_schemas import UsageIn
from sessions_app.usage.report import usage_of


@api_view("GET", scope=Scope.USAGE_READ, query=UsageIn)
async def usage(request: ApiRequest) -> HttpResponse:
    """Sum what the caller's agents used, by day, model or agent."""
    wanted = UsageIn.of_query(request)
    found = await in_database(usage_of, request.caller, wanted)
    return HttpResponse(found.model_dump_json(by_alias=True), content_type="application/json")
