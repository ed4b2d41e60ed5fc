"""The tables of databases that Alembic made: their columns, revision by revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# The type of each column; "?" where it may be null.
type Shape = Mapping[str, Mapping[str, str]]

REVISION: Final = "4360c1de944b"
# The revisions that have accounts, oldest first. The first of them emptied the database.
TENANCY_REVISIONS: Final = (
    *("d7f01eb864b8", "5cd8e16e070f", "d5930048c917", "2f9b9044dd96", "48d95232d581"),
    *("944490dcfaaa", "e9e83012d6b4", "f1a2b3c4d5e6", "a7b8c9d0e1f2"),
)
BASELINE: Final[Shape] = {
    "sessions": {
        "id": "uuid",
        "session_key": "varchar(255)",
        "email": "varchar(255)?",
        "is_anonymous": "boolean",
        "created_at": "timestamptz",
        "last_activity_at": "timestamptz",
        "meta": "jsonb?",
    },
    "messages": {
        "id": "uuid",
        "session_id": "uuid",
        "role": "varchar(20)",
        "content": "text",
        "meta": "jsonb?",
        "created_at": "timestamptz",
    },
    "llm_requests": {
        "id": "uuid",
        "session_id": "uuid",
        "provider": "varchar(50)",
        "model": "varchar(100)",
        "request_body": "jsonb?",
        "response_body": "jsonb?",
        "prompt_tokens": "integer?",
        "completion_tokens": "integer?",
        "total_tokens": "integer?",
        "unit_cost_prompt": "numeric?",
        "unit_cost_completion": "numeric?",
        "computed_cost": "numeric?",
        "latency_ms": "integer?",
        "created_at": "timestamptz",
    },
    "profiles": {
        "id": "uuid",
        "session_id": "uuid",
        "customer_name": "varchar(255)?",
        "phone": "varchar(50)?",
        "email": "varchar(255)?",
        "address_street": "varchar(500)?",
        "address_city": "varchar(100)?",
        "address_state": "varchar(50)?",
        "address_zip": "varchar(20)?",
        "products_of_interest": "varchar[]?",
        "services_of_interest": "varchar[]?",
        "preferences": "jsonb?",
        "updated_at": "timestamptz",
    },
}
# The names that 0002 gives to the columns of costs.
RENAMED: Final = {
    "unit_cost_prompt": "prompt_cost",
    "unit_cost_completion": "completion_cost",
    "computed_cost": "total_cost",
}
_OWNERS_OF_REQUESTS: Final = {
    "account_id": "uuid?",
    "agent_instance_id": "uuid?",
    "agent_type": "varchar(50)?",
    "completion_status": "varchar(9)?",
}
TENANCY: Final[Shape] = {
    "accounts": {
        "id": "uuid",
        "slug": "varchar(63)",
        "name": "varchar(255)",
        "status": "varchar(9)",
        "subscription_tier": "varchar(10)?",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
    },
    "agent_instances": {
        "id": "uuid",
        "account_id": "uuid",
        "instance_slug": "varchar(63)",
        "agent_type": "varchar(50)",
        "display_name": "varchar(255)",
        "status": "varchar(8)",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
        "last_used_at": "timestamptz?",
    },
    "sessions": {
        **BASELINE["sessions"],
        "account_id": "uuid?",
        "agent_instance_id": "uuid?",
        "updated_at": "timestamptz",
    },
    "messages": {
        **BASELINE["messages"],
        "agent_instance_id": "uuid?",
    },
    "llm_requests": {
        **{RENAMED.get(name, name): kind for name, kind in BASELINE["llm_requests"].items()},
        **_OWNERS_OF_REQUESTS,
    },
    "profiles": BASELINE["profiles"],
}
# The first two of these revisions have the baseline's columns of costs.
EARLY_TENANCY: Final[Shape] = {
    **TENANCY,
    "llm_requests": {**BASELINE["llm_requests"], **_OWNERS_OF_REQUESTS},
}
# What later revisions added: carried where it is there.
OPTIONAL: Final[Shape] = {
    "sessions": {
        "account_slug": "varchar?",
        "agent_instance_slug": "varchar?",
        "user_id": "uuid?",
    },
    "messages": {"llm_request_id": "uuid?"},
    "llm_requests": {
        "account_slug": "varchar?",
        "agent_instance_slug": "varchar?",
        "meta": "jsonb?",
        "assembled_prompt": "text?",
    },
}
# The columns with a few words, which were an enumeration's in some databases.
WORDS: Final = {
    ("messages", "role"),
    ("accounts", "status"),
    ("accounts", "subscription_tier"),
    ("agent_instances", "status"),
    ("llm_requests", "completion_status"),
}
# Two accounts or agents may not have one of these twice.
UNIQUE: Final[Mapping[str, tuple[str, ...]]] = {
    "accounts": ("id",),
    "agent_instances": ("id",),
    "sessions": ("id", "session_key"),
    "messages": ("id",),
    "llm_requests": ("id",),
    "profiles": ("id", "session_id"),
}
