"""Makes accounts with settled turns, counted as settling would have."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from agents.models import AgentInstance
from sessions_app.usage import rollup
from tests.support.factories import make_account, make_instance, make_llm_request, make_session

DAY = timedelta(days=1)


def settled(instance: AgentInstance, moment: datetime | None = None, **fields: Any) -> Any:
    """Make a settled turn in a session of its own; count it by rollup.rebuild()."""
    moment = moment or timezone.now()
    values = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "latency_ms": 800,
        "total_cost": Decimal("0.25"),
        "provider": "openai",
        "model": "gpt-5",
    }
    session = make_session(instance)
    return make_llm_request(session, created_at=moment, settled_at=moment, **values | fields)


def busy_account(slug: str = "", *, turns: int = 2, **fields: Any) -> AgentInstance:
    """Make an account whose one agent has answered today."""
    instance = make_instance(make_account(slug, **fields))
    for _ in range(turns):
        settled(instance)
    rollup.rebuild(instance.account_id)
    return instance
