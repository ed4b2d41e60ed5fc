"""Access to PostgreSQL: the server, its connections, and calls from async code."""

from salient.database.circuit_breaker import circuit, limit_replies
from salient.database.config import REPLICA, database_config, replica_config
from salient.database.diagnosis import (
    DatabaseProblem,
    check_server,
    ensure_started,
    explain,
    first_line,
    is_unavailable,
)
from salient.database.executor import (
    give_back,
    in_database,
    in_database_once,
    release_connection,
)
from salient.database.pipeline import call_batched, shut_down
from salient.database.pipeline.batches import Answer, MaybeDone, json_array, split_answers
from salient.database.storable import storable, storable_json

__all__ = [
    "REPLICA",
    "Answer",
    "DatabaseProblem",
    "MaybeDone",
    "call_batched",
    "check_server",
    "circuit",
    "database_config",
    "ensure_started",
    "explain",
    "first_line",
    "give_back",
    "in_database",
    "in_database_once",
    "is_unavailable",
    "json_array",
    "limit_replies",
    "release_connection",
    "replica_config",
    "shut_down",
    "split_answers",
    "storable",
    "storable_json",
]
