"""The parameters of paths and the headers of requests and answers, with what they mean."""

from __future__ import annotations

from typing import Any

PARAMETERS: dict[str, dict[str, Any]] = {
    "account": {"description": "The account's slug."},
    "instance": {"description": "The agent's slug."},
}


def _text(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


def _number(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}}


_REQUEST_HEADERS = {
    "Idempotency-Key": _text(
        "A repeated call with this key gets the stored answer and starts no second turn.",
        minLength=1,
        maxLength=255,
        pattern="^[ -~]+$",
    ),
    "If-Match": _text("The ETag of the draft that was read."),
    "If-None-Match": _text("`*`: there was no draft."),
    "Salient-Session": _text("Continues this stored session; the sent history is not read."),
    "Last-Event-ID": _text(
        "The last event that was received; an EventSource that connects again sends it by itself."
    ),
}
REQUEST_HEADERS: dict[str, dict[str, Any]] = {
    name: {"name": name, "in": "header", **described}
    for name, described in _REQUEST_HEADERS.items()
}
ANSWER_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": _text("The id of the request in the server's log."),
    "RateLimit": _text('What is left of the quota that ends first: `"key";r=12;t=48`.'),
    "RateLimit-Policy": _text('The quotas that hold for this call: `"key";q=600;w=60`.'),
    "x-ratelimit-limit-requests": _number("How many requests that quota allows."),
    "x-ratelimit-remaining-requests": _number("How many requests are left of it."),
    "x-ratelimit-reset-requests": _text("When the whole quota is available again: `48s`."),
    "x-should-retry": _text(
        "`false`: the same call fails again, so OpenAI's SDKs do not repeat it.", const="false"
    ),
    "Location": _text("Where the account, the agent or the turn is found."),
    "ETag": _text("The version of what is shown; `If-Match` and `If-None-Match` name it."),
    "Content-Disposition": _text("The name of the file."),
    "Idempotency-Replayed": _text(
        "`true`: this is the stored answer of the key; no second turn was started.", const="true"
    ),
    "X-Vercel-AI-UI-Message-Stream": _text("`v1`: the version of the stream's protocol."),
    "Salient-Turn": _text("The turn whose events a stream has."),
    "Retry-After": _number("After how many seconds the call may succeed."),
    "WWW-Authenticate": _text("How to authenticate: `Bearer`."),
}
