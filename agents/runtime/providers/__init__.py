"""The providers, one module each, and the registry that finds them."""

from agents.runtime.providers.connections import Connection, connection_name
from agents.runtime.providers.registry import (
    close_clients,
    describe_model,
    find_provider,
    known_provider,
    model_exists,
    model_problem,
    provider_names,
    registered_providers,
)

__all__ = [
    "Connection",
    "close_clients",
    "connection_name",
    "describe_model",
    "find_provider",
    "known_provider",
    "model_exists",
    "model_problem",
    "provider_names",
    "registered_providers",
]
