"""Finds who answers for a model that is written "provider:model", or says why nobody does."""

from collections.abc import Mapping
from difflib import get_close_matches

from agents.runtime.errors import UnknownModel
from agents.runtime.providers import local_models, native, scripted
from agents.runtime.providers.base import Provider
from agents.runtime.providers.clients import close_client
from agents.runtime.providers.connections import (
    LONGEST_NAME,
    PREFIX,
    ConnectedServer,
    Connection,
    connection_name,
    is_connection_name,
)
from agents.runtime.providers.local import LocalModel
from agents.runtime.providers.openai.compatible import OpenAICompatible
from agents.runtime.providers.openai.endpoints import (
    KNOWN,
    PROVIDER_NAME,
    Endpoint,
    endpoint_problem,
    find_endpoint,
)
from agents.runtime.providers.refusals import log_failure
from salient.api.lifespan import on_stop

LOCAL = "local"
SCRIPTED = "scripted"
# Whose model a bare name most likely is.
FAMILIES = {
    "gpt": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "claude": "anthropic",
    "gemini": "google",
    "mistral": "mistral",
    "grok": "xai",
    "deepseek": "deepseek",
    "smollm": LOCAL,
    "qwen": LOCAL,
    "echo": SCRIPTED,
}

_CONNECTION_NAMING = (
    f"A connection is written {PREFIX}NAME:MODEL, its name in up to {LONGEST_NAME} lower-case "
    "letters, digits, hyphens or underscores."
)


def known_provider(name: str) -> bool:
    """Whether the name can be used; which connections an account has, only its rows say."""
    if (connected := connection_name(name)) is not None:
        return is_connection_name(connected)
    return name in provider_names() or find_endpoint(name) is not None


def provider_names() -> list[str]:
    return sorted({LOCAL, SCRIPTED, *KNOWN, *native.KNOWN})


def find_provider(
    model: str, connections: Mapping[str, Connection] | None = None
) -> tuple[Provider, str, str]:
    """The provider, its name and the model's own; raises UnknownModel where it cannot be called.

    `connections` are the account's own servers, by their names.
    """
    name, _, own_name = model.partition(":")
    problem = model_problem(model)
    if problem is None and (connected := connection_name(name)) is not None:
        connection = (connections or {}).get(connected)
        if connection is not None:
            return ConnectedServer(connection), name, own_name
        problem = f'The account has no connection "{connected}".'
    if problem is not None:
        error = UnknownModel(problem)
        log_failure(name, own_name, error)
        raise error
    return _provider(name, own_name), name, own_name


def model_problem(model: str) -> str | None:
    """Why a model cannot be used, in one sentence for whoever configures it; None when it can."""
    if (problem := _naming_problem(model)) is not None:
        return problem
    name, _, own_name = model.partition(":")
    if name == LOCAL:
        return local_models.problem(own_name)
    if name == SCRIPTED:
        return scripted.problem(own_name)
    if name in native.KNOWN:
        return native.problem(name)
    if (connected := connection_name(name)) is not None:
        return None if is_connection_name(connected) else _CONNECTION_NAMING
    endpoint = find_endpoint(name)
    return endpoint_problem(endpoint) if endpoint else _unknown_provider(name)


def describe_model(model: str) -> str:
    """Which model answers and what it is good for, in one sentence for everybody."""
    name, _, own_name = model.partition(":")
    if name == LOCAL:
        return local_models.describe(own_name)
    if name == SCRIPTED:
        return scripted.DESCRIPTION
    if (connected := connection_name(name)) is not None:
        return f"{own_name} answers, over the network at the account's own server “{connected}”."
    return f"{own_name} answers, over the network at {name}."


def _provider(name: str, model: str) -> Provider:
    if name == LOCAL:
        return LocalModel()
    if name == SCRIPTED:
        return scripted.Scripted()
    if name in native.KNOWN:
        return native.Native(name)
    endpoint = find_endpoint(name) or Endpoint(name, "")
    return OpenAICompatible(endpoint, endpoint.url, endpoint.key)


def _naming_problem(model: str) -> str | None:
    name, colon, own_name = model.partition(":")
    if colon and name and own_name.strip():
        return None
    if colon:
        return f'"{model}" is not a model: write it as provider:model.'
    return f'"{model}" names no provider: write it as provider:model.{_suggest_family(model)}'


def _suggest_family(model: str) -> str:
    for prefix, provider in FAMILIES.items():
        if model.lower().startswith(prefix):
            return f' Did you mean "{provider}:{model}"?'
    close = get_close_matches(model.lower(), provider_names(), n=1)
    return f' Did you mean "{close[0]}:…"?' if close else ""


def _unknown_provider(name: str) -> str:
    close = get_close_matches(name.lower(), provider_names(), n=2, cutoff=0.6)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    if not PROVIDER_NAME.fullmatch(name):
        return f'"{name}" is not a provider.{meant}'
    variable = Endpoint(name, "").url_variable
    return f'There is no provider "{name}".{meant} Any other is known by setting {variable}.'


@on_stop
async def close_clients() -> None:
    """Close what the running loop keeps open to the providers."""
    await close_client()
    await native.close()
