"""Who caused a row: a customer, staff in the playground, a test chat or a test key."""

from __future__ import annotations

from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject

from sessions_app.models import LLMRequest

# The origin of an LLM request, as an annotation.
ORIGIN = JSONObject(caller="caller", is_test="is_test", chat="request_body__test_chat")


def origin_of(**request: str) -> Subquery:
    """Return the origin of a row's LLM request, of any where a row has many.

    `request` maps a column of the requests to one of the row: session_id="pk".
    """
    outer = {name: OuterRef(own) for name, own in {"account_id": "account_id", **request}.items()}
    found = LLMRequest.objects.filter(**outer)
    return Subquery(found.order_by().values(origin=ORIGIN)[:1])
