"""A conversation in a terminal: the operator's turns, run by the same code as the API's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from pydantic import ValidationError

from accounts.auth.decorators import Caller
from accounts.models import Account, Scope
from agents.models import AgentInstance
from agents.runtime.events import TextDelta, ToolCall
from agents.runtime.providers import close_clients
from salient.api.problems import Invalid
from salient.database import release_connection, shut_down
from sessions_app.api.schemas import ChatIn, ChatOut
from sessions_app.turns import turn as turns


def operator(account: Account) -> Caller:
    """Return the caller for somebody who may use manage.py, and so every agent."""
    return Caller(account.pk, account.slug, frozenset(Scope.values))


@dataclass(slots=True)
class Conversation:
    """The turns of one session; `say` gets each piece of an answer as it comes."""

    caller: Caller
    instance: AgentInstance
    say: Callable[[str], None]
    session_id: UUID | None = None
    last: turns.Turn | None = field(default=None, init=False)

    async def turn(self, text: str) -> ChatOut:
        """Send one message; raises Problem. However it ends, the turn is settled."""
        try:
            message = ChatIn(message=text, session_id=self.session_id)
        except ValidationError as error:
            raise Invalid.of(error) from None
        turn = await turns.begin_new(self.caller, self.instance, message.as_input(), stream=True)
        self.session_id, self.last = turn.session_id, turn
        async with aclosing(turns.answer(turn)) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        self.say(text)
                    case ToolCall(name=name):
                        self.say(f"[uses {name}] ")
        return turn.answer_out()


@contextmanager
def event_loop() -> Iterator[asyncio.Runner]:
    """Give one loop for all turns; Ctrl-C cancels the turn that is under way and nothing else."""
    with asyncio.Runner() as runner:
        try:
            yield runner
        finally:
            runner.run(_close())
            shut_down()


async def _close() -> None:
    await close_clients()
    await release_connection()


def summary(answer: ChatOut) -> str:
    """Return one line: the model, the tokens, the cost and the time of the turn."""
    usage, total = answer.usage, answer.cost.total if answer.cost is not None else None
    dollars = None if total is None else Decimal(total)
    cost = "cost unknown" if dollars is None else f"${dollars.normalize():f}" if dollars else "free"
    tokens = "tokens unknown"
    if usage is not None:
        about = "about " if usage.estimated else ""
        tokens = f"{about}{usage.input_tokens} tokens in, {usage.output_tokens} out"
    return f"{answer.model} · {tokens} · {cost} · {answer.latency_ms / 1000:.1f} s"
