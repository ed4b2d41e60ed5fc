"""What a caller is shown of a turn besides its answer: the model, the tokens, the cost.

The account's own callers and staff see all of it, visitors and end users what the agent's
configuration says (`visitors`). Every answer asks here.
"""

from __future__ import annotations

import msgspec

from accounts.auth.caller import Caller, CallerKind
from agents.config.schema import AgentConfig
from agents.config.versions.current import AgentMisconfigured, current_config
from agents.models import AgentInstance

SEES_ALL = {CallerKind.SECRET_KEY, CallerKind.MEMBER, CallerKind.STAFF}


class Shown(msgspec.Struct, frozen=True):
    model: bool
    usage: bool
    # Also that there are budgets.
    cost: bool


EVERYTHING, NOTHING = Shown(True, True, True), Shown(False, False, False)  # noqa: FBT003


def shown_by(config: AgentConfig, caller: Caller) -> Shown:
    """Return what the caller is shown of a turn with this configuration."""
    if caller.kind in SEES_ALL:
        return EVERYTHING
    visitors = config.visitors
    return Shown(visitors.show_model, visitors.show_usage, visitors.show_cost)


def shown_to(caller: Caller, instance: AgentInstance) -> Shown:
    """Return what the caller is shown of earlier turns; call it inside the tenant context."""
    if caller.kind in SEES_ALL:
        return EVERYTHING
    try:
        current = current_config(caller.account_slug, instance)
    except AgentMisconfigured:
        return NOTHING
    return shown_by(current.effective.config, caller)
