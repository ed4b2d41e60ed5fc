"""Who answers: one module for each kind of provider, and the registry that finds it."""

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
