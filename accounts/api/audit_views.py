"""The API of the audit log: an account reads who changed what of its own, staff included."""

from __future__ import annotations

from accounts.api.audit_schemas import AuditIn, AuditOut
from accounts.audit import log
from accounts.auth.decorators import ApiRequest, api_view
from accounts.models import Scope
from salient.database import in_database


@api_view("GET", scope=Scope.AUDIT_READ, query=AuditIn, answer=AuditOut)
async def audit(request: ApiRequest, *, query: AuditIn) -> AuditOut:
    """Return a page of the account's audit log."""
    return await in_database(log.entries_of, request.caller.account_id, query)
