"""The columns of the CSV exports of conversations and usage, by their look-up paths."""

from __future__ import annotations

from django.db.models import Case, F, When

from accounts.audit.csv_export import Columns, Export


def known_cost(cost: str, *, unpriced: str) -> Case:
    """Return a sum of costs, empty where none of the costs is known."""
    return Case(When(**{f"{unpriced}__gt": 0, cost: 0}, then=None), default=F(cost))


SESSION_COLUMNS: Columns = {
    "id": "id",
    "account": "account_slug",
    "agent": "agent_instance_slug",
    "end_user": "end_user",
    "email": "email",
    "created_at": "created_at",
    "last_activity_at": "last_activity_at",
    "turns": "turn_count",
    "cost_usd": known_cost("total_cost", unpriced="unpriced_turns"),
    "turns_of_unknown_cost": "unpriced_turns",
    "last_status": "last_status",
    "feedback": "feedback",
}
MESSAGE_COLUMNS = {
    "id": "id",
    "created_at": "created_at",
    "account": "account__slug",
    "agent": "agent_instance__instance_slug",
    "session": "session_id",
    "request": "llm_request_id",
    "role": "role",
    "content": "content",
}
REQUEST_COLUMNS = {
    "id": "id",
    "created_at": "created_at",
    "settled_at": "settled_at",
    "account": "account_slug",
    "agent": "agent_instance_slug",
    "session": "session_id",
    "provider": "provider",
    "model": "model",
    "status": "completion_status",
    "error": "error_code",
    "model_calls": "requests",
    "input_tokens": "prompt_tokens",
    "cached_tokens": "cached_tokens",
    "output_tokens": "completion_tokens",
    "tokens_estimated": "tokens_estimated",
    "cost_usd": "total_cost",
    "cost_source": "cost_source",
    "latency_ms": "latency_ms",
    "time_to_first_token_ms": "time_to_first_token_ms",
    "config_version": "config_version_id",
    "caller": "caller",
    "is_test": "is_test",
}
# Without the comment, which is an end user's text: only the page of the conversation shows it.
FEEDBACK_COLUMNS = {
    "id": "id",
    "created_at": "created_at",
    "account": "account__slug",
    "agent": "agent_instance__instance_slug",
    "session": "session_id",
    "message": "message_id",
    "rating": "rating",
    "status": "status",
    "handled_by": "handled_by",
    "handled_at": "handled_at",
    "caller": "caller",
}
USAGE = Export(
    "usage",
    {
        "day": "day",
        "account": "account__slug",
        "agent": "agent_instance__instance_slug",
        "model": "model",
        "requests": "requests",
        "failed": "failed",
        "cancelled": "cancelled",
        "input_tokens": "input_tokens",
        "cached_tokens": "cached_tokens",
        "output_tokens": "output_tokens",
        "cost_usd": known_cost("cost", unpriced="unpriced"),
        "requests_of_unknown_cost": "unpriced",
        "latency_ms_sum": "latency_ms",
    },
    moment="day",
    key=("account_id", "agent_instance_id", "model"),
    is_cut=False,
)
