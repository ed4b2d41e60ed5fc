"""Providers with an API of their own, spoken to through Pydantic AI, which is imported late."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from agents.runtime.errors import RunError
from agents.runtime.providers.base import ModelEvent, ModelRequest
from agents.runtime.providers.refusals import log_failure


@dataclass(frozen=True, slots=True)
class NativeProvider:
    """`keys`: one of these variables is needed; `package` is what the `extra` installs."""

    keys: tuple[str, ...]
    package: str
    extra: str


KNOWN = {
    "anthropic": NativeProvider(("ANTHROPIC_API_KEY",), "anthropic", "anthropic"),
    "google": NativeProvider(("GOOGLE_API_KEY", "GEMINI_API_KEY"), "google.genai", "google"),
    # Credentials may also come from the cloud's own machinery.
    "google-cloud": NativeProvider((), "google.genai", "google"),
    "bedrock": NativeProvider((), "boto3", "bedrock"),
    "cohere": NativeProvider(("CO_API_KEY",), "cohere", "cohere"),
    "huggingface": NativeProvider(("HF_TOKEN",), "huggingface_hub", "huggingface"),
}


class Native:
    supports_tools = True
    # The first call of a process imports Pydantic AI.
    least_first_token_timeout = 0.0

    def __init__(self, name: str) -> None:
        self.name = name

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        # Two to three seconds of importing would hold up every other stream.
        adapter: Any = await asyncio.to_thread(import_module, f"{__package__}.pydantic_ai")
        stream: Callable[..., AsyncGenerator[ModelEvent]] = adapter.stream
        try:
            model = await adapter.shared_model(f"{self.name}:{request.model}")
            async with aclosing(stream(model, request)) as events:
                async for event in events:
                    yield event
        except RunError as error:
            log_failure(self.name, request.model, error, key=_key(KNOWN[self.name]))
            raise


def problem(name: str) -> str | None:
    provider = KNOWN[name]
    if not _installed(provider.package):
        return f"The provider {name} needs the package pydantic-ai-slim[{provider.extra}]."
    if provider.keys and not _key(provider):
        return f"{' or '.join(provider.keys)} is not set, which the provider {name} needs."
    return None


async def close() -> None:
    """Close the running loop's clients, if there are any."""
    if f"{__package__}.pydantic_ai" in sys.modules:
        await import_module(f"{__package__}.pydantic_ai").close()


def _key(provider: NativeProvider) -> str:
    return next((key for name in provider.keys if (key := os.environ.get(name, ""))), "")


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
