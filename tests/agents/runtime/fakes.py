"""A fake provider with scripted steps, in the place of those that the registry finds."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

from agents.runtime import run as run_module
from agents.runtime.errors import RunError
from agents.runtime.events import TextDelta
from agents.runtime.providers.base import Finished, ModelEvent, ModelRequest, Provider

type Steps = list[ModelEvent | RunError]


class FakeProvider:
    """Plays one list of steps a call, and answers `Done.` when there are no more."""

    supports_tools = True
    supports_attachments = True
    least_first_token_timeout = 0.0

    def __init__(self, *calls: Steps) -> None:
        self.calls = list(calls)
        self.requests: list[ModelRequest] = []

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        self.requests.append(request)
        done: Steps = [TextDelta("Done."), Finished("stop")]
        steps = self.calls.pop(0) if self.calls else done
        for step in steps:
            if isinstance(step, RunError):
                raise step
            yield step


@contextmanager
def providers(found: Mapping[str, FakeProvider]) -> Iterator[None]:
    """Let the models of these providers be answered by the fakes."""

    def find(model: str, _connections: object) -> tuple[Provider, str, str]:
        name, _, own_name = model.partition(":")
        return found[name], name, own_name

    with mock.patch.object(run_module, "find_provider", find):
        yield
