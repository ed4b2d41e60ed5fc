"""How an account keeps its model servers: their keys are written here and read nowhere."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from pydantic import Field, SecretStr

from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.models import Scope
from agents.connections import connections
from agents.connections.connections import ConnectionExists
from agents.models import ProviderConnection
from salient.api.schemas import In, ListOut, NamedListIn, Out
from salient.cursor import page_by_name
from salient.database import in_database

type Key = Annotated[SecretStr, Field(max_length=connections.LONGEST_KEY)]
type Address = Annotated[str, Field(max_length=500)]


class ConnectionIn(In):
    """A new connection; a server without a key needs none."""

    name: Annotated[str, Field(max_length=39)]
    base_url: Address
    key: Key = SecretStr("")


class ConnectionChangeIn(In):
    """What is to change; an empty key removes the key, and so does another host without one."""

    base_url: Address | None = None
    key: Key | None = None


class ConnectionOut(Out):
    id: UUID
    name: str
    base_url: str
    has_key: bool
    # The last characters of a long key, to tell it from another.
    key_hint: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, connection: ProviderConnection) -> ConnectionOut:
        return cls(
            id=connection.pk,
            name=connection.name,
            base_url=connection.base_url,
            has_key=bool(connection.secret),
            key_hint=connection.secret_hint,
            created_at=connection.created_at,
            updated_at=connection.updated_at,
        )


class ConnectionsOut(ListOut[ConnectionOut]):
    """Connections by name; `connections` is another name of `data`."""

    connections: list[ConnectionOut]


@api_view("GET", scope=Scope.CONNECTIONS_READ, query=NamedListIn, answer=ConnectionsOut)
async def connection_list(request: ApiRequest, *, query: NamedListIn) -> ConnectionsOut:
    """List the account's model connections."""
    found = await in_database(
        connections.connections_of,
        request.caller.account_id,
        after=query.cursor,
        limit=query.limit,
    )
    shown, cursor = page_by_name(found, query.limit, "name")
    data = [ConnectionOut.of(each) for each in shown]
    return ConnectionsOut.of_page(data, cursor, connections=data)


@api_view(
    "POST",
    scope=Scope.CONNECTIONS_WRITE,
    body=ConnectionIn,
    answer=ConnectionOut,
    status=HTTPStatus.CREATED,
    problems=(ConnectionExists,),
)
async def connection_create(request: ApiRequest, *, body: ConnectionIn) -> ConnectionOut:
    """Make a connection to a model server."""
    made = await in_database(
        connections.create_connection,
        request.caller.account_id,
        name=body.name,
        base_url=body.base_url,
        key=body.key.get_secret_value(),
    )
    return ConnectionOut.of(made)


@api_view("PATCH", scope=Scope.CONNECTIONS_WRITE, body=ConnectionChangeIn, answer=ConnectionOut)
async def connection_change(
    request: ApiRequest, name: str, *, body: ConnectionChangeIn
) -> ConnectionOut:
    """Change a connection's address or key."""
    changed = await in_database(
        connections.change_connection,
        request.caller.account_id,
        name,
        base_url=body.base_url,
        key=None if body.key is None else body.key.get_secret_value(),
    )
    return ConnectionOut.of(changed)


@api_view("DELETE", scope=Scope.CONNECTIONS_WRITE, status=HTTPStatus.NO_CONTENT)
async def connection_delete(request: ApiRequest, name: str) -> None:
    """Delete a connection; running answers that use it end."""
    await in_database(connections.delete_connection, request.caller.account_id, name)


all_connections = by_method(connection_list, connection_create)
one_connection = by_method(connection_change, connection_delete)
