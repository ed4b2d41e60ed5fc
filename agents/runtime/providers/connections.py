"""An account's own model servers: a run is given them, and checks the address of each call."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import aiohttp

from agents.runtime.errors import UnknownModel
from agents.runtime.providers.base import ModelEvent, ModelRequest
from agents.runtime.providers.clients import client, safe_client
from agents.runtime.providers.openai.compatible import OpenAICompatible
from agents.runtime.providers.openai.endpoints import Endpoint
from agents.runtime.providers.refusals import log_failure
from salient.security.ssrf import UnsafeURL, check_url

PREFIX = "connection/"
LONGEST_NAME = 39
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Connection:
    """The address of a server and its key, which no repr shows."""

    name: str
    base_url: str
    key: str = field(default="", repr=False)


def connection_name(model: str) -> str | None:
    """The name in "connection/<name>" or "connection/<name>:<model>"; None for any other."""
    provider = model.partition(":")[0]
    return provider.removeprefix(PREFIX) if provider.startswith(PREFIX) else None


def is_connection_name(name: str) -> bool:
    return len(name) <= LONGEST_NAME and _NAME.fullmatch(name) is not None


class ConnectedServer(OpenAICompatible):
    """A server that a tenant chose: its address is checked before each call and on connecting."""

    def __init__(self, connection: Connection) -> None:
        endpoint = Endpoint(PREFIX + connection.name, "", needs_key=False)
        super().__init__(endpoint, connection.base_url, connection.key)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        try:
            check_url(self.url, with_query=False)
        except UnsafeURL as error:
            refused = UnknownModel(str(error))
            log_failure(self.endpoint.name, request.model, refused, key=self.key)
            raise refused from error
        async with aclosing(super().stream(request)) as events:
            async for event in events:
                yield event

    def client(self) -> aiohttp.ClientSession:
        return client() if check_url(self.url).is_trusted else safe_client()
