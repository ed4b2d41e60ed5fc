"""Servers with OpenAI's chat API: the request, the answer and how servers differ."""

from agents.runtime.providers.base import RegisteredProvider
from agents.runtime.providers.openai.compatible import OpenAICompatible
from agents.runtime.providers.openai.endpoints import KNOWN, Endpoint, endpoint_problem


def openai_provider(endpoint: Endpoint) -> RegisteredProvider:
    return RegisteredProvider(
        name=endpoint.name,
        # The address and the key are read from the environment for each call.
        make=lambda: OpenAICompatible(endpoint, endpoint.url, endpoint.key),
        problem=lambda _: endpoint_problem(endpoint),
        key_variables=(endpoint.key_variable,) if endpoint.needs_key else (),
        model_prefixes=endpoint.model_prefixes,
    )


PROVIDERS = tuple(map(openai_provider, KNOWN.values()))
