"""Providers with their own API, called through Pydantic AI, which a server imports as it starts."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from agents.runtime.errors import RunError
from agents.runtime.providers.base import ModelEvent, ModelRequest, RegisteredProvider
from agents.runtime.providers.openai.endpoints import NO_KEY, is_header_value
from agents.runtime.providers.refusals import log_failure
from salient.api.lifespan import on_start


@dataclass(frozen=True, slots=True)
class NativeProvider:
    """`keys`: one of these variables is needed; `package` is what the `extra` installs.

    `more` are other variables that its client reads and that end up in headers or addresses;
    `module` is Pydantic AI's for it.
    """

    keys: tuple[str, ...]
    package: str
    extra: str
    module: str
    more: tuple[str, ...] = ()
    model_prefixes: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        return self.keys + self.more


KNOWN = {
    "anthropic": NativeProvider(
        ("ANTHROPIC_API_KEY",),
        "anthropic",
        "anthropic",
        "pydantic_ai.models.anthropic",
        ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"),
        model_prefixes=("claude",),
    ),
    "google": NativeProvider(
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        "google.genai",
        "google",
        "pydantic_ai.models.google",
        model_prefixes=("gemini",),
    ),
    # Credentials may also come from the cloud's own environment.
    "google-cloud": NativeProvider(
        (),
        "google.genai",
        "google",
        "pydantic_ai.models.google",
        ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"),
    ),
    "bedrock": NativeProvider(
        (),
        "boto3",
        "bedrock",
        "pydantic_ai.models.bedrock",
        (
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_DEFAULT_REGION",
            "AWS_REGION",
        ),
    ),
    "cohere": NativeProvider(
        ("CO_API_KEY",), "cohere", "cohere", "pydantic_ai.models.cohere", ("CO_BASE_URL",)
    ),
    "huggingface": NativeProvider(
        ("HF_TOKEN",), "huggingface_hub", "huggingface", "pydantic_ai.models.huggingface"
    ),
}


ADAPTER = f"{__package__}.pydantic_ai"
# The first call of a provider waits until Pydantic AI and the provider's library are imported, for
# seconds on a busy machine. This time does not count as the model's.
PREPARING_SECONDS = 60.0
_prepared: set[str] = set()


class Native:
    supports_tools = True
    supports_attachments = True

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def least_first_token_timeout(self) -> float:
        return 0.0 if self.name in _prepared else PREPARING_SECONDS

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        _strip(KNOWN[self.name])
        # In a thread: two to three seconds of importing would block every other stream.
        adapter: Any = await asyncio.to_thread(import_module, ADAPTER)
        stream: Callable[..., AsyncGenerator[ModelEvent]] = adapter.stream
        try:
            model = await adapter.shared_model(f"{self.name}:{request.model}")
            _prepared.add(self.name)
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
    if provider.keys and not any(map(_variable, provider.keys)):
        return f"{' or '.join(provider.keys)} is not set, which the provider {name} needs."
    for variable in provider.variables:
        if not is_header_value(_variable(variable)):
            return f"{variable} {NO_KEY}"
    return None


async def close() -> None:
    """Close the running loop's clients, if there are any."""
    if ADAPTER in sys.modules:
        await import_module(ADAPTER).close()


@on_start
def prepare() -> None:
    """Import the libraries of the providers whose variables are set, before the first call.

    In a thread, so that the server answers meanwhile.
    """
    used = [name for name, each in KNOWN.items() if any(map(_variable, each.variables))]
    modules = [KNOWN[name].module for name in used if problem(name) is None]
    if modules:
        threading.Thread(target=_import, args=[ADAPTER, *modules], daemon=True).start()


def _import(*modules: str) -> None:
    for module in modules:
        import_module(module)


def _key(provider: NativeProvider) -> str:
    return next((key for name in provider.variables if (key := _variable(name))), "")


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()


def _strip(provider: NativeProvider) -> None:
    """Remove blanks around a key: the provider's own client reads it from the environment."""
    for name in provider.variables:
        if os.environ.get(name, "") != _variable(name):
            os.environ[name] = _variable(name)


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _registered(name: str, provider: NativeProvider) -> RegisteredProvider:
    return RegisteredProvider(
        name=name,
        find=lambda _: problem(name) or Native(name),
        key_variables=provider.keys,
        model_prefixes=provider.model_prefixes,
        close=close,
    )


PROVIDERS = tuple(_registered(name, provider) for name, provider in KNOWN.items())
