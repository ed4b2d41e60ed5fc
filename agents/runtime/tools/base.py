"""A tool: a Python function with a Pydantic schema, made safe to be called by a model."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.runtime.events import ToolCall, ToolResult
from agents.runtime.providers.base import ToolSpec

# The model reads at most this many problems of one call's arguments.
MOST_PROBLEMS = 10

logger = logging.getLogger("agents.runtime")


class Arguments(BaseModel):
    """A tool's arguments; the model reads each field's description."""

    model_config = ConfigDict(extra="forbid")


class ToolError(Exception):
    """The tool cannot do it; the text is for the model."""


@dataclass(frozen=True)
class Tool[A: Arguments]:
    """Named and described by its function; `time_limit` is in seconds."""

    function: Callable[[A], Awaitable[str]]
    arguments: type[A]
    time_limit: float = 10.0

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(
            name=self.name,
            description=" ".join((self.function.__doc__ or "").split()),
            parameters=self.arguments.model_json_schema(),
        )

    async def run(self, call: ToolCall) -> ToolResult:
        """Run the call; every failure becomes a result that the model can read."""
        try:
            arguments = self.arguments.model_validate_json(call.arguments or "{}")
            async with asyncio.timeout(self.time_limit):
                return ToolResult(call.id, call.name, await self.function(arguments))
        except ValidationError as error:
            return _failed(call, f"These arguments are not valid. {_explain(error)}")
        except TimeoutError:
            return _failed(call, f"The tool took more than {self.time_limit:g} seconds.")
        except ToolError as error:
            return _failed(call, str(error))
        except Exception:
            logger.exception("The tool %s failed", self.name)
            return _failed(call, "The tool failed.")


def _failed(call: ToolCall, reason: str) -> ToolResult:
    return ToolResult(call.id, call.name, reason, is_error=True)


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}"
        for problem in problems[:MOST_PROBLEMS]
    )
