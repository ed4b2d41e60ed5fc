"""Several API views at one address, each with its own methods and scope."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.auth.decorators import ANY, ApiRequest, ApiRoute, api_view


def by_method(*routes: ApiRoute) -> ApiRoute:
    """Join API views of different methods; `scopes` tells which method asks for which scope."""
    table = {method: route for route in routes for method in route.methods}
    refusal = api_view(*table, scope=ANY)(_unreachable)

    async def dispatch(request: HttpRequest, /, **kwargs: str) -> HttpResponseBase:
        return await table.get(request.method or "", refusal)(request, **kwargs)

    joined = cast(Any, dispatch)
    joined.methods = tuple(table)
    joined.scopes = {method: route.scope for method, route in table.items()}
    joined.query = table["GET"].query if "GET" in table else None
    joined.scope = routes[0].scope
    return cast(ApiRoute, joined)


async def _unreachable(_request: ApiRequest, **_kwargs: str) -> HttpResponseBase:
    """The door answers every other method with 405 before it comes here."""
    raise NotImplementedError
