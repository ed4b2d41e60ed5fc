"""The API of the audit log: an account reads who changed what of its own, staff included."""

from __future__ import annotations

from django.http import HttpResponse

from accounts.api.audit_schemas import AuditIn
from accounts.audit import log
from accounts.auth.decorators import ApiRequest, api_view
from accounts.models import Scope
from salient.database import in_database


@api_view("GET", scope=Scope.AUDIT_READ, query=AuditIn)
async def audit(request: ApiRequest) -> HttpResponse:
    """Return a page of the account's audit log."""
    page = AuditIn.of_query(request)
    found = await in_database(log.entries_of, request.caller.account_id, page)
    return found.as_response()
