"""The one way to PostgreSQL: which server, how many connections, and how async code gets there."""

from salient.database.batches import Answer, apart, together
from salient.database.channels import ask_together
from salient.database.config import database_config
from salient.database.crossing import (
    give_back,
    in_database,
    in_database_once,
    release_connection,
    shut_down,
)
from salient.database.diagnosis import DatabaseProblem, check_server, ensure_started, explain

__all__ = [
    "Answer",
    "DatabaseProblem",
    "apart",
    "ask_together",
    "check_server",
    "database_config",
    "ensure_started",
    "explain",
    "give_back",
    "in_database",
    "in_database_once",
    "release_connection",
    "shut_down",
    "together",
]
