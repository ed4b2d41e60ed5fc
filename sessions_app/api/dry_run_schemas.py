"""The answer to a turn that was only tried: what it would be, as far as the caller may know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from agents.api.managed import manages
from salient.api.schemas import Out
from sessions_app.api.schemas import dollars
from sessions_app.turns.dry_run import DryRun
from sessions_app.turns.prompts import PROMPT


class PromptPartOut(BaseModel):
    """A part of what the model would read; only who manages the agent sees its headings."""

    name: str
    tokens: int


class MostCostOut(BaseModel):
    """The US dollars that a turn reserves, the most that it may cost.

    With source “unknown” a price is assumed for a model that has none.
    """

    currency: Literal["USD"] = "USD"
    max: str
    source: str


class RefusalOut(BaseModel):
    """The problem document with which a limit would refuse the call now."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str


class DryRunOut(Out):
    """What a turn would be; nothing was stored, and no model was called.

    Tokens are those of the first call of the model, at four bytes each. `session_id` is null where
    a session would begin. Visitors and end users get null for the models, the tokens and `cost`,
    unless the agent shows them.
    """

    dry_run: Literal[True] = True
    model: str | None
    fallback_models: list[str] | None
    config_version: str
    session_id: UUID | None
    history_messages: int
    input_tokens: int | None
    parts: list[PromptPartOut] | None
    max_output_tokens: int | None
    cost: MostCostOut | None
    refusal: RefusalOut | None

    @classmethod
    def of(cls, tried: DryRun) -> Self:
        run, caller, shown = tried.plan.run, tried.plan.limits.caller, tried.shown
        parts = [*_parts(tried.sections, with_headings=manages(caller))]
        refusal = tried.refusal
        return cls(
            model=run.models[0] if shown.model else None,
            fallback_models=list(run.models[1:]) if shown.model else None,
            config_version=tried.plan.current.effective.digest[:12],
            session_id=tried.session_id,
            history_messages=tried.history_messages,
            input_tokens=sum(part.tokens for part in parts) if shown.usage else None,
            parts=parts if shown.usage else None,
            max_output_tokens=tried.max_output_tokens if shown.usage else None,
            cost=MostCostOut(max=dollars(tried.cost), source=tried.cost_source)
            if shown.cost
            else None,
            refusal=None if refusal is None else RefusalOut(**refusal.as_dict()),
        )


def _parts(sections: list[dict[str, Any]], *, with_headings: bool) -> Iterator[PromptPartOut]:
    """Yield the parts; without headings the agent's own prompt is one of them."""
    own = [each for each in sections if each["name"].startswith(PROMPT)]
    others = [each for each in sections if each not in own]
    if not with_headings and own:
        yield PromptPartOut(name=PROMPT, tokens=sum(each["tokens"] for each in own))
        own = []
    for each in (*own, *others):
        yield PromptPartOut(name=each["name"], tokens=each["tokens"])
