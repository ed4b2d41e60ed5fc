"""How an account keeps its model servers: their keys are written here and read nowhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.http import HttpResponse
from pydantic import Field, SecretStr

from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.models import Scope
from agents.connections import connections
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


# openapi: answer=ConnectionsOut
@api_view("GET", scope=Scope.CONNECTIONS_READ, query=NamedListIn)
async def _list(request: ApiRequest) -> HttpResponse:
    page = NamedListIn.of_query(request)
    found = await in_database(
        connections.connections_of,
        request.caller.account_id,
        after=page.cursor,
        limit=page.limit,
    )
    shown, cursor = page_by_name(found, page.limit, "name")
    data = [ConnectionOut.of(each) for each in shown]
    return ConnectionsOut.of_page(data, cursor, connections=data).as_response()


@api_view("POST", scope=Scope.CONNECTIONS_WRITE)
async def _create(request: ApiRequest) -> HttpResponse:
    wanted = ConnectionIn.of_body(request)
    made = await in_database(
        connections.create_connection,
        request.caller.account_id,
        name=wanted.name,
        base_url=wanted.base_url,
        key=wanted.key.get_secret_value(),
    )
    response = ConnectionOut.of(made).as_response()
    response.status_code = 201
    return response


@api_view("PATCH", scope=Scope.CONNECTIONS_WRITE)
async def _change(request: ApiRequest, name: str) -> HttpResponse:
    wanted = ConnectionChangeIn.of_body(request)
    changed = await in_database(
        connections.change_connection,
        request.caller.account_id,
        name,
        base_url=wanted.base_url,
        key=None if wanted.key is None else wanted.key.get_secret_value(),
    )
    return ConnectionOut.of(changed).as_response()


@api_view("DELETE", scope=Scope.CONNECTIONS_WRITE)
async def _delete(request: ApiRequest, name: str) -> HttpResponse:
    await in_database(connections.delete_connection, request.caller.account_id, name)
    return HttpResponse(status=204)


all_connections = by_method(_list, _create)
one_connection = by_method(_change, _delete)
