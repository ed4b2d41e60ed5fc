"""What staff talk to in the playground: the agent as everybody meets it, or with its draft."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from accounts.auth.caller import Caller
from agents.config import ConfigError, parse_layer
from agents.config.layers import PUBLISHED
from agents.config.versions.current import AgentMisconfigured
from agents.models import AgentInstance, ConfigDraft
from salient.api.problems import Problem


class DraftGone(Problem):
    status = HTTPStatus.CONFLICT
    code = "draft_gone"

    def __init__(self) -> None:
        super().__init__("The draft was published or discarded meanwhile; reload the page.")


def draft_override(caller: Caller, instance: AgentInstance) -> Mapping[str, Any] | None:
    """Return what the caller's draft says now; None for everybody who has none.

    Call it inside the tenant's door. Raises DraftGone, and AgentMisconfigured for a broken draft.
    """
    if caller.draft_id is None:
        return None
    draft = ConfigDraft.objects.filter(pk=caller.draft_id, agent_instance_id=instance.pk).first()
    if draft is None:
        raise DraftGone
    try:
        return parse_layer(draft.text, PUBLISHED).content
    except ConfigError as error:
        raise AgentMisconfigured(f"The draft can not be used: {error}") from error
