"""Turns DATABASE_URL, or its absence, into Django's settings."""

import time
from typing import Any, Self

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

from salient.database import embedded
from salient.database.circuit_breaker import LimitedConnection, ReplyTimeout, circuit

# Parts of the errors while a server is being restarted.
RESTARTING = ("Connection refused", "No such file", "starting up", "shutting down")
# How long the check of a pooled connection may take; callers wait for the pool for 3 s.
CHECK_SECONDS = 1.5
# How soon the kernel notices that the server's machine does not answer, in seconds (the last one in
# milliseconds). DATABASE_URL may change them; a local socket ignores them.
KEEP_ALIVE = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
ENGINE = "salient.database"
# Django's name of the database from which reports may be read.
REPLICA = "replica"
SHAPE = "postgres://user:password@host:5432/name"


def database_config(
    url: str | None, *, pool_size: int, timeout: float = 3.0, api_connections: int = 0
) -> dict[str, Any]:
    """Return the settings of the default database; nothing is started or connected.

    `timeout` (seconds) bounds both the wait for the pool and the making of a connection.
    """
    if pool_size <= api_connections:
        raise ImproperlyConfigured(
            f"DATABASE_POOL_SIZE is {pool_size}: it must be larger than DATABASE_API_THREADS and "
            f"DATABASE_API_CONNECTIONS together ({api_connections}), for each of these keeps a "
            "connection and pages need one too"
        )
    server = parsed(url) if url else embedded_server()
    options = server.pop("OPTIONS", {})
    pool = {
        "min_size": 0,
        "max_size": pool_size,
        "timeout": timeout,
        # A new connection is tried for as long as a caller waits (below), then by the next caller.
        "reconnect_timeout": 0,
        "connection_class": ReconnectingConnection,
        "check": check_connection,
    }
    return {
        **server,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": max(2, round(timeout)),
            **KEEP_ALIVE,
            **options,
            "pool": pool,
        },
    }


def replica_config(url: str, *, pool_size: int) -> dict[str, Any]:
    """Return the settings of the replica; whoever finds it away asks the primary at once."""
    config = database_config(url, pool_size=pool_size, timeout=2.0)
    config["OPTIONS"]["pool"]["connection_class"] = ReplicaConnection
    return config


def embedded_server() -> dict[str, Any]:
    """The embedded PostgreSQL, which starts when the first connection is made."""
    return {
        "ENGINE": ENGINE,
        "EMBEDDED": True,
        "NAME": embedded.NAME,
        "USER": embedded.NAME,
        "HOST": str(embedded.socket_directory()),
    }


def parsed(url: str) -> dict[str, Any]:
    """Return a libpq URL as Django's settings. Errors never show the URL: it has a password."""
    wrong = ImproperlyConfigured(f"DATABASE_URL is wrong: it must look like {SHAPE}")
    if not url.startswith(("postgres://", "postgresql://")):
        raise wrong
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise wrong from None
    # libpq takes several hosts, each with its port.
    ports = str(parts.get("port", "0")).split(",")
    if not all(port.isdecimal() for port in ports):
        raise wrong
    if not parts.get("dbname"):
        raise ImproperlyConfigured(f"DATABASE_URL names no database: it must look like {SHAPE}")
    known = {
        "NAME": "dbname",
        "USER": "user",
        "PASSWORD": "password",
        "HOST": "host",
        "PORT": "port",
    }
    settings: dict[str, Any] = {
        setting: str(parts.pop(part, "")) for setting, part in known.items()
    }
    return {"ENGINE": ENGINE, **settings, "OPTIONS": parts}


class ReconnectingConnection(LimitedConnection):
    """A connection that is tried again while the server is being restarted.

    psycopg_pool itself tries after 1 s and 3 s: too late for callers who wait for 3 s.
    """

    # The circuit's generation when it was made.
    generation = 0

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        """Connect within the connection's timeout."""
        deadline = time.monotonic() + float(kwargs.get("connect_timeout", 3))
        while True:
            try:
                made = super().connect(conninfo, **kwargs)
            except psycopg.OperationalError as error:
                restarting = any(words in str(error) for words in RESTARTING)
                if not restarting or time.monotonic() >= deadline:
                    raise
            else:
                made.generation = circuit.generation
                return made
            time.sleep(0.1)


class ReplicaConnection(LimitedConnection):
    """A connection to the replica, whose silence says nothing about the primary."""

    is_primary = False


def check_connection(connection: LimitedConnection) -> None:
    """Raise for a broken connection, and have the pool check all others.

    The pool itself finds them one by one, with a growing pause after each: after a restart of the
    server a request would time out although the server is back.
    """
    limit = connection.reply_seconds
    connection.reply_seconds = CHECK_SECONDS
    try:
        ConnectionPool.check_connection(connection)
    except ReplyTimeout:
        # Checking the others would take as long for each of them.
        if connection.is_primary:
            circuit.suspect()
        raise
    except psycopg.Error:
        if pool := getattr(connection, "_pool", None):
            pool.check()
        raise
    finally:
        connection.reply_seconds = limit
