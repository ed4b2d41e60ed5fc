"""An account's own model servers: made and changed here, their keys go in and never come out.

A key is sealed for its account, its connection and the origin of its address: another address
clears it, and a row that was copied or edited opens nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import IntegrityError, models, transaction

from accounts.tenancy.context import tenant_context
from accounts.tenancy.locks import lock_rows
from accounts.tenancy.resealing import Rotation, reseal_rows
from accounts.tenancy.suspensions import Suspended, forgets
from agents.models import ProviderConnection
from agents.runtime.providers import Connection, connection_name
from agents.runtime.providers.openai.endpoints import is_header_value
from salient.api.problems import Invalid, NotFound, Problem
from salient.cursor import NameCursor
from salient.security.encryption import SecretUnreadable, seal, unseal
from salient.security.ssrf import SafeURL, UnsafeURL, check_url
from salient.ttl import TTLCache

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 50
LONGEST_KEY = 4096
HINT_LENGTH = 4
# The last characters of a shorter key would reveal half of it.
SHORTEST_HINTED = 16

_connections: TTLCache[tuple[UUID, str], Connection] = TTLCache()


class ConnectionExists(Problem):
    """The account has a connection of that name."""

    status = HTTPStatus.CONFLICT
    code = "connection_exists"


def connections_of(
    account_id: UUID, *, after: NameCursor | None = None, limit: int | None = None
) -> list[ProviderConnection]:
    """Return the connections by name; one more than `limit`, if there are more."""
    with tenant_context(account_id):
        rows = ProviderConnection.objects.order_by("name")
        if after is not None:
            rows = rows.filter(name__gt=after.name)
        return list(rows[: None if limit is None else limit + 1])


def create_connection(
    account_id: UUID, *, name: str, base_url: str, key: str = "", write: bool = True
) -> ProviderConnection:
    """Make a connection; raises Invalid for a bad name, address or key.

    Here and below: without `write` everything is checked and nothing is stored.
    """
    connection = ProviderConnection(account_id=account_id, name=name)
    move(connection, base_url)
    set_key(connection, key)
    _check(connection)
    try:
        with tenant_context(account_id):
            lock_rows("connections", account_id)
            if ProviderConnection.objects.count() >= MOST_CONNECTIONS:
                raise Invalid.field(
                    "name", f"an account has at most {MOST_CONNECTIONS} connections"
                )
            connection.save(force_insert=True)
            transaction.set_rollback(not write)
    except IntegrityError as error:
        raise ConnectionExists(f"There is a connection “{name}” already.") from error
    return connection


def change_connection(
    account_id: UUID,
    name: str,
    *,
    base_url: str | None = None,
    key: str | None = None,
    write: bool = True,
) -> ProviderConnection:
    """Change what is given; another origin without a new key leaves the connection without one."""
    with tenant_context(account_id):
        connection = _locked(name)
        if base_url is not None:
            move(connection, base_url)
        if key is not None:
            set_key(connection, key)
        _check(connection)
        connection.save()
        transaction.set_rollback(not write)
    forget(account_id, name)
    return connection


def delete_connection(account_id: UUID, name: str, *, write: bool = True) -> None:
    with tenant_context(account_id):
        ProviderConnection.objects.filter(pk=_locked(name).pk).delete()
        transaction.set_rollback(not write)
    forget(account_id, name)


def forget(account_id: UUID, name: str) -> None:
    """Let this process look the connection up anew."""
    _connections.pop((account_id, name))


@forgets(ProviderConnection)
def _forget(connection: ProviderConnection) -> None:
    forget(connection.account_id, connection.name)


def _locked(name: str) -> ProviderConnection:
    found: ProviderConnection | None = (
        ProviderConnection.objects.select_for_update().filter(name=name).first()
    )
    if found is None:
        raise NotFound("connection")
    if found.suspended_reason:
        # Another one under its name would undo it.
        raise Suspended("connection")
    return found


def _check(connection: ProviderConnection) -> None:
    try:
        connection.clean_fields(exclude=["account"])
    except ValidationError as error:
        wrong = {name: " ".join(found) for name, found in error.message_dict.items()}
        raise Invalid.fields(list(wrong.items())) from error


def move(connection: ProviderConnection, base_url: str) -> None:
    """Set the address; another origin clears the key."""
    url = read_address(base_url)
    if url.origin != connection.secret_host:
        clear_key(connection)
    connection.base_url, connection.secret_host = str(url), url.origin


def read_address(base_url: str) -> SafeURL:
    """Read the address of a server; raises Invalid, which says what is wrong with it."""
    try:
        return check_url(base_url.rstrip("/"), with_query=False)
    except UnsafeURL as error:
        raise Invalid.field("base_url", str(error)) from error


def clear_key(connection: ProviderConnection) -> None:
    connection.secret = connection.secret_hint = ""


def set_key(connection: ProviderConnection, key: str) -> None:
    """Seal a new key into the row; an empty one clears it. White space around it is no part."""
    key = key.strip()
    if not key:
        clear_key(connection)
        return
    if fault := key_fault(key):
        raise Invalid.field("key", fault)
    connection.secret = seal(key, bound_to=_owner(connection))
    connection.secret_hint = key[-HINT_LENGTH:] if len(key) >= SHORTEST_HINTED else ""


def key_fault(key: str) -> str:
    """Say why a text cannot be a key, or nothing; a line break in it would be another header."""
    if len(key) > LONGEST_KEY or not is_header_value(key) or " " in key:
        return f"A key is made of up to {LONGEST_KEY} printable ASCII characters without spaces."
    return ""


def _owner(connection: ProviderConnection) -> tuple[str, ...]:
    """What a key belongs to, read from the address itself and not from what the row says of it."""
    origin = read_address(connection.base_url).origin
    return str(connection.account_id), str(connection.pk), origin


def connections_for(account_id: UUID, model_names: Iterable[str]) -> dict[str, Connection]:
    """Return the connections that these models name and the account has, ready to be called.

    Call it inside a tenant or platform context. What is missing, suspended or cannot be opened is
    left out.
    """
    wanted = {name for model in model_names if (name := connection_name(model)) is not None}
    found = {name: known for name in wanted if (known := _connections.get((account_id, name)))}
    if missing := wanted - set(found):
        # By its account too: staff's pages call this in the platform context.
        rows = ProviderConnection.objects.filter(account_id=account_id, name__in=missing)
        rows = rows.filter(suspended_reason="")
        for _, connection in _opened(rows):
            _connections.put((account_id, connection.name), connection)
            found[connection.name] = connection
    return found


def current_connections(
    wanted: Iterable[tuple[UUID, str]],
) -> dict[tuple[UUID, str], Connection]:
    """Read these connections (account, name) past every cache, inside the platform context."""
    accounts, names = {account_id for account_id, _ in wanted}, {name for _, name in wanted}
    rows = ProviderConnection.objects.filter(account_id__in=accounts, name__in=names)
    rows = rows.filter(suspended_reason="")
    return {(account_id, each.name): each for account_id, each in _opened(rows)}


def suspended_connections(wanted: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], str]:
    """Return why each of these connections (account, name) is suspended, of those that are."""
    accounts, names = {account_id for account_id, _ in wanted}, {name for _, name in wanted}
    rows = ProviderConnection.objects.filter(account_id__in=accounts, name__in=names)
    stopped = rows.exclude(suspended_reason="")
    found = stopped.values_list("account_id", "name", "suspended_reason")
    return {(account_id, name): reason for account_id, name, reason in found}


def _opened(rows: models.QuerySet[ProviderConnection]) -> Iterator[tuple[UUID, Connection]]:
    for row in rows:
        try:
            yield row.account_id, ready(row)
        except (SecretUnreadable, ImproperlyConfigured, Invalid) as error:
            logger.error("Connection %s of account %s: %s", row.name, row.account_id, error)  # noqa: TRY400 - the reason is the whole story


def ready(row: ProviderConnection) -> Connection:
    """Open the row's key; raises SecretUnreadable, ImproperlyConfigured, and Invalid where not."""
    key = unseal(row.secret, bound_to=_owner(row)) if row.secret else ""
    return Connection(row.name, row.base_url, key)


def reseal_keys(rotation: Rotation, *, write: bool) -> None:
    """Seal every stored key under the first of SECRET_ENCRYPTION_KEYS."""
    reseal_rows(
        lambda: ProviderConnection.objects.exclude(secret=""),
        ("secret",),
        lambda row: f"{row.account_id}/{row.name}",
        rotation,
        write=write,
    )
