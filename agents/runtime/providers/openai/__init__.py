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
        find=lambda _: _found(endpoint, endpoint.settings),
        key_variables=(endpoint.key_variable,) if endpoint.needs_key else (),
        model_prefixes=endpoint.model_prefixes,
    )


@lru_cache(maxsize=256)
def _found(endpoint: Endpoint, found: EndpointSettings) -> OpenAICompatible | str:
    """Return the server with these settings; made once, as it keeps nothing of a call."""
    problem = endpoint_problem(endpoint, found)
    return problem or OpenAICompatible(endpoint, found.url, found.key, streams=found.streams)


PROVIDERS = tuple(map(openai_provider, KNOWN.values()))
