"""How much feedback waits for somebody: on the overview, an account's page and an agent's."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.http import HttpRequest

from accounts.admin.formatting import list_address
from accounts.admin.registry import Link
from agents.admin.page_base import instance_page
from agents.models import AgentInstance
from salient.formatting import count
from sessions_app.conversations.feedback import (
    MOST_COUNTED,
    open_feedback,
    open_feedback_of_agents,
)

MAY_SEE = "sessions_app.view_messagefeedback"


def open_page(**lookups: object) -> str:
    """Return the address of the open feedback."""
    return list_address("sessions_app_messagefeedback", status="open", **lookups)


def open_of(account_id: UUID | None = None) -> tuple[str, str]:
    """Return the number of open feedback as text, and the address of its rows."""
    number = open_feedback(account_id)
    text = f"{count(number)}+" if number == MOST_COUNTED else count(number)
    lookups = {} if account_id is None else {"account__id__exact": account_id}
    return text, open_page(**lookups)


def agent_links(request: HttpRequest, instance: AgentInstance) -> Iterable[Link]:
    """Link an agent's page to its feedback, with the number of what is open."""
    if not request.user.has_perm(MAY_SEE):
        return
    number = open_feedback_of_agents(instance.account_id).get(instance.pk, 0)
    only = {
        "agent_instance__id__exact": instance.pk,
        "account__id__exact": instance.account_id,
    }
    if number:
        yield f"Open feedback: {count(number)}", open_page(**only)
    else:
        yield "Feedback", list_address("sessions_app_messagefeedback", **only)


instance_page.add_links(agent_links)
