"""Servers with OpenAI's chat API: the request, the answer and how servers differ."""

from functools import lru_cache

from agents.runtime.providers.base import RegisteredProvider
from agents.runtime.providers.openai.compatible import OpenAICompatible
from agents.runtime.providers.openai.endpoints import (
    KNOWN,
    Endpoint,
    EndpointSettings,
    endpoint_problem,
)


def openai_provider(endpoint: Endpoint) -> RegisteredProvider:
    return RegisteredProvider(
        name=endpoint.name,
        # The address and the key are read from the environment for each call.
        make=lambda: _server(endpoint, endpoint.settings),
        problem=lambda _: endpoint_problem(endpoint),
        key_variables=(endpoint.key_variable,) if endpoint.needs_key else (),
        model_prefixes=endpoint.model_prefixes,
    )


@lru_cache(maxsize=256)
def _server(endpoint: Endpoint, found: EndpointSettings) -> OpenAICompatible:
    return OpenAICompatible(endpoint, found.url, found.key, streams=found.streams)


PROVIDERS = tuple(map(openai_provider, KNOWN.values()))
