"""Explains why a call would be refused: runs the checks of a real call one after the other.

Each step calls the function that a real call goes through, and keeps the Problem that it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from accounts.auth import bearer
from accounts.auth.caller import Caller
from accounts.auth.decorators import require_scope
from accounts.auth.networks import Address
from accounts.models import ApiKey, Scope
from salient.api.problems import Problem

KEY_TITLES = (
    "The key is neither revoked nor expired",
    "It is used from one of its networks",
    "Its account is the called one, and active",
    "A publishable key comes from one of its pages",
)
SCOPE_TITLE = "The caller has the right to talk to agents"
# What staff or the account can do about a refusal, by its code.
ADVICE = {
    "unauthenticated": "Make a new key, or rotate one that still works; this one stays invalid.",
    "network_not_allowed": "Add the caller's network to the key, or call from one of its own.",
    "origin_not_allowed": "Call from a page of the key's origins; another page needs another key.",
    "suspended": "Resume it on its page, which says who suspended it and why.",
    "forbidden": "Use a key or role with this right: scopes cannot be added to a key.",
    "rate_limited": "Wait as long as Retry-After says, or raise the account's rate.",
    "too_many_turns": "Wait until an answer has ended, or raise the turns that may run at once.",
    "budget_exceeded": "Raise the budget, wait for its next period, or make the call cheaper.",
    "invalid_request": "Send a shorter message, or raise the account's limit.",
    "not_found": "Compare the names in the address, and what the key may use: one agent or all.",
    "model_not_found": "Send an agent's slug as `model`, of one that the key may use.",
    "unknown_route": "Correct the path: the answer names the nearest route.",
    "method_not_allowed": "Use one of the methods that the header `Allow` names.",
    "unsupported_media_type": "Send JSON, uncompressed, with `Content-Type: application/json`.",
    "body_too_large": "Send less at once: shorter texts, fewer or smaller files.",
    "too_many_attempts": "Send a valid key: the refusals end after a minute without wrong ones.",
    "turn_in_progress": "Wait for the answer before the next message, or cancel the turn.",
    "session_closed": "Begin a new conversation.",
    "idempotency_key_reused": "Make a new Idempotency-Key for each message.",
    "instructions_refused": "Turn `callers.instructions` on for the agent, or send none.",
    "client_tools_refused": "Turn `callers.tools` on for the agent, or send none.",
    "unsupported_content": "Turn `callers.attachments` on and choose a model that reads them.",
    "unavailable": "The database did not answer. If this goes on, look at the server's log.",
    "agent_unavailable": "See “Why would this call be refused?”: visitors are not told why.",
    "agent_misconfigured": "Correct the agent's configuration, or the connection that it names.",
}


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one step; `is_asked` is False after a refusal, where a real call ends."""

    title: str
    problem: Problem | None = None
    advice: str = ""
    # For staff, also where the step has passed.
    facts: str = ""
    is_asked: bool = True

    @property
    def state(self) -> str:
        if not self.is_asked:
            return "not asked"
        return "passed" if self.problem is None else "refused"


def run_check(title: str, act: Callable[[], object], advice: str = "") -> Check:
    """Run a step and keep the Problem that refuses it."""
    try:
        act()
    except Problem as problem:
        return Check(title, problem, advice or ADVICE.get(problem.code, ""))
    return Check(title)


def key_checks(
    key: ApiKey, account: str, *, address: Address | None, origin: str | None
) -> Iterator[Check]:
    """Run the checks of a call's key, one each time that the next is asked for."""
    advice = {2: "Call the account that the key belongs to; resume it if it is suspended."}
    for place, (title, check) in enumerate(zip(KEY_TITLES, bearer.KEY_CHECKS, strict=True)):
        yield run_check(title, partial(check, key, account, address, origin), advice.get(place, ""))


def scope_check(caller: Caller) -> Check:
    return run_check(SCOPE_TITLE, partial(require_scope, caller, Scope.CHAT))


def first_refusal(checks: list[Check]) -> Check | None:
    return next((check for check in checks if check.problem is not None), None)
