"""Finds the provider of a model that is written "provider:model", or says why it has none."""

from collections.abc import Container, Mapping
from difflib import get_close_matches
from functools import lru_cache

from agents.runtime.discovery import by_name, declared
from agents.runtime.errors import UnknownModel
from agents.runtime.providers.base import Provider, RegisteredProvider
from agents.runtime.providers.clients import close_client
from agents.runtime.providers.connections import (
    LONGEST_NAME,
    PREFIX,
    ConnectedServer,
    Connection,
    connection_name,
    is_connection_name,
)
from agents.runtime.providers.openai import openai_provider
from agents.runtime.providers.openai.endpoints import PROVIDER_NAME, Endpoint, find_endpoint
from agents.runtime.providers.refusals import log_failure
from salient.api.lifespan import on_stop

_CONNECTION_NAMING = (
    f"A connection is written {PREFIX}NAME:MODEL, its name in up to {LONGEST_NAME} lower-case "
    "letters, digits, hyphens or underscores."
)


def find_providers(package: str) -> dict[str, RegisteredProvider]:
    """What the modules of the package declare in `PROVIDERS`, by name."""
    return by_name(
        (provider.name, provider)
        for providers in declared(package, "PROVIDERS")
        for provider in providers
    )


_PROVIDERS: Mapping[str, RegisteredProvider] = find_providers(__package__)


def known_provider(name: str) -> bool:
    """Whether the name can be used; whether an account has a connection is not checked here."""
    if (connected := connection_name(name)) is not None:
        return is_connection_name(connected)
    return _find(name) is not None


def model_exists(provider: str, model: str) -> bool:
    """Whether a configuration may name the model, even if it cannot be used on this machine."""
    found = _find(provider)
    return found.exists(model) if found else known_provider(provider)


def provider_names() -> list[str]:
    return sorted(_PROVIDERS)


def registered_providers() -> list[RegisteredProvider]:
    return [_PROVIDERS[name] for name in provider_names()]


def find_provider(
    model: str, connections: Mapping[str, Connection] | None = None
) -> tuple[Provider, str, str]:
    """Return the provider, its name and the model's name; raises UnknownModel.

    `connections` are the account's own servers, by their names.
    """
    name, _, own_name = model.partition(":")
    found = _naming_problem(model) or _provider_or_problem(name, own_name, connections or {})
    if not isinstance(found, str):
        return found, name, own_name
    error = UnknownModel(found)
    log_failure(name, own_name, error)
    raise error


def _provider_or_problem(
    name: str, own_name: str, connections: Mapping[str, Connection]
) -> Provider | str:
    if (connected := connection_name(name)) is None:
        provider = _find(name)
        return provider.find(own_name) if provider else _unknown_provider(name)
    problem = _connection_problem(connected, connections)
    return problem or ConnectedServer(connections[connected])


def _connection_problem(name: str, working: Container[str]) -> str | None:
    if not is_connection_name(name):
        return _CONNECTION_NAMING
    return None if name in working else f'The account has no connection "{name}".'


def model_problem(model: str, working: Container[str] | None = None) -> str | None:
    """Why a model cannot be used, in one sentence for whoever configures it; None when it can.

    `working` names the account's own servers that can be called; without it any may be one.
    """
    if (problem := _naming_problem(model)) is not None:
        return problem
    name, _, own_name = model.partition(":")
    if (connected := connection_name(name)) is not None:
        return _connection_problem(connected, {connected} if working is None else working)
    provider = _find(name)
    return provider.problem(own_name) if provider else _unknown_provider(name)


def describe_model(model: str) -> str:
    """Which model answers and what it is good for, in a sentence that anybody may read."""
    name, _, own_name = model.partition(":")
    if (connected := connection_name(name)) is not None:
        return f"{own_name} answers over the network, at the account's own server “{connected}”."
    provider = _find(name)
    if provider and provider.describe:
        return provider.describe(own_name)
    return f"{own_name} answers over the network, at {name}."


def _find(name: str) -> RegisteredProvider | None:
    """A provider of this package, or any server whose `<NAME>_BASE_URL` is set."""
    if name in _PROVIDERS:
        return _PROVIDERS[name]
    endpoint = find_endpoint(name)
    return openai_provider(endpoint) if endpoint else None


@lru_cache(maxsize=1024)
def _naming_problem(model: str) -> str | None:
    name, colon, own_name = model.partition(":")
    if colon and name and own_name.strip():
        return None
    if colon:
        return f'"{model}" is not a model: write it as provider:model.'
    return f'"{model}" names no provider: write it as provider:model.{_suggest_family(model)}'


def _suggest_family(model: str) -> str:
    for provider in _PROVIDERS.values():
        if model.lower().startswith(provider.model_prefixes):
            return f' Did you mean "{provider.name}:{model}"?'
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
    """Close the running loop's connections to the providers."""
    await close_client()
    for close in {provider.close for provider in _PROVIDERS.values() if provider.close}:
        await close()
