"""The two functions of a turn, called as the pipeline calls them; mix it into a TestCase."""

from __future__ import annotations

from collections.abc import Sequence
from copy import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from msgspec.structs import asdict

from accounts.auth.caller import Caller
from accounts.limits import quotas
from accounts.models import Account
from accounts.tenancy.context import tenant_context
from agents.config.versions.current import current_config
from agents.costs.own_prices import NO_PRICES
from agents.models import AgentInstance
from agents.runtime.events import ModelCall
from agents.runtime.run import Run
from salient.ids import uuid7
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import CompletionStatus
from sessions_app.turns import plan
from sessions_app.turns import turn as turns


class TurnFunctions:
    """Turns of one caller and one agent."""

    account: Account
    instance: AgentInstance
    caller: Caller

    def ask(self, function: str, turns: Any) -> Any:
        with tenant_context(self.account.pk), connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {function}(%s, %s)", [self.account.pk, msgspec.json.encode(turns).decode()]
            )
            return msgspec.json.decode(cursor.fetchone()[0])

    def wanted(self, message: str, session: UUID | None = None, **caller: Any) -> dict[str, Any]:
        """Say what is to be opened."""
        with tenant_context(self.account.pk):
            current = current_config(self.account.slug, self.instance)
            limits = quotas.limits_of(replace(self.caller, **caller))
        asked = TurnInput(message=message, session_id=session)
        turn_plan = plan.TurnPlan(current, limits, current.run_request((), stream=True), asked)
        row = asdict(plan.turn_row(turn_plan, self.instance, NO_PRICES, None))
        return row | {"most_messages": 10, "rates": [asdict(rate) for rate in row["rates"]]}

    def opened(self, *wanted: dict[str, Any]) -> list[dict[str, Any]]:
        each: list[dict[str, Any]] = self.ask("app_open_turns", wanted)["each"]
        return each

    def outcome(
        self, wanted: dict[str, Any], opened: dict[str, Any], calls: Sequence[ModelCall] = ()
    ) -> dict[str, Any]:
        """Say how it ended: with `Hi.`."""
        with tenant_context(self.account.pk):
            current = current_config(self.account.slug, self.instance)
        turn = turns.Turn(
            self.caller,
            self.instance,
            current,
            UUID(opened["session_id"]),
            wanted["request_id"],
            Run(current.run_request((), stream=True)),
            quotas.reservation([], Decimal(opened["reserved"])),
            uuid7(),
            NO_PRICES,
        )
        turn.run.calls.extend(calls)
        turn.end(CompletionStatus.COMPLETE)
        return asdict(turn.as_settled()) | {"answer": "Hi."}
