"""A model on this machine, in a process that the first call starts and all workers share."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from agents.runtime.errors import ProviderUnavailable
from agents.runtime.providers import local_models
from agents.runtime.providers.base import ModelEvent, ModelRequest, RegisteredProvider
from agents.runtime.providers.openai.compatible import OpenAICompatible
from agents.runtime.providers.openai.endpoints import Endpoint
from agents.runtime.providers.refusals import log_failure
from salient.local.shared_process import SharedProcess, SharedProcessError

LOCAL = "local"
# llama.cpp's server closes the connection after an answer without a header that says so.
ENDPOINT = Endpoint(LOCAL, "", needs_key=False, keep_alive=False)
# The supervisor needs this long to notice that the process died.
NOTICED_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    key: str


class LocalModel:
    supports_tools = False
    supports_attachments = False
    # The model may have to be loaded, and it reads a long conversation slowly.
    least_first_token_timeout = 180.0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        address = await _address(request.model)
        begun = False
        try:
            async with aclosing(_server(address).stream(request)) as events:
                async for event in events:
                    begun = True
                    yield event
        except ProviderUnavailable:
            if begun or not await _was_replaced(request.model, address):
                raise
        else:
            return
        async with aclosing(_server(await _address(request.model)).stream(request)) as events:
            async for event in events:
                yield event


def shared_process(model: str) -> SharedProcess:
    """The process of this model, whose files are in LOCAL_MODEL_DIR, by default var/local."""
    directory = Path(settings.LOCAL_MODEL_DIR)
    return SharedProcess(
        name=f"the local model {model}",
        directory=directory / model,
        factory="agents.runtime.local_server:LocalServer",
        start_timeout=120.0,
        grace=10.0,
    )


# One thread: a hundred first calls then start one model and occupy no other thread.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-model")
_addresses: dict[str, Address] = {}


def _server(address: Address) -> OpenAICompatible:
    streams = ENDPOINT.settings.streams
    return OpenAICompatible(ENDPOINT, address.url, address.key, streams=streams)


async def _was_replaced(model: str, address: Address) -> bool:
    """Whether the process has died and another one has taken its place."""
    if _addresses.get(model) == address:
        await asyncio.sleep(NOTICED_SECONDS)
        if _addresses.get(model) == address:
            del _addresses[model]
    return await _address(model) != address


async def _address(model: str) -> Address:
    """Where the model answers; starts it when needed."""
    if model in _addresses:
        return _addresses[model]
    return await asyncio.get_running_loop().run_in_executor(_starter, _ensure, model)


def _ensure(model: str) -> Address:
    if model in _addresses:
        return _addresses[model]
    try:
        state = shared_process(model).ensure()
    except (SharedProcessError, OSError) as error:
        failure = ProviderUnavailable(str(error))
        failure.retryable = False
        log_failure(LOCAL, model, failure)
        raise failure from error
    address = _addresses[model] = Address(state["url"], state["key"])
    return address


PROVIDERS = (
    RegisteredProvider(
        name=LOCAL,
        find=lambda model: local_models.problem(model) or LocalModel(),
        exists=local_models.LOCAL_MODELS.__contains__,
        describe=local_models.describe,
        model_prefixes=("smollm", "qwen"),
        is_free=True,
    ),
)
