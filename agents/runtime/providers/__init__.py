"""Who answers: one module for each kind of provider, and the registry that finds it."""

from agents.runtime.providers.registry import (
    close_clients,
    describe_model,
    find_provider,
    known_provider,
    model_problem,
    provider_names,
)

__all__ = [
    "close_clients",
    "describe_model",
    "find_provider",
    "known_provider",
    "model_problem",
    "provider_names",
]
