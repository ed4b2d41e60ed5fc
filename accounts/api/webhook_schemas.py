"""The API's shapes for webhooks and their deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from django.utils import timezone
from pydantic import AfterValidator, Field

from accounts.api.schemas import LONGEST_OVERLAP
from accounts.models import (
    DeliveryState,
    DisabledReason,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from accounts.webhooks import signing
from accounts.webhooks.endpoints import NewEndpoint
from salient.api.schemas import In, ListOut, Out, PageIn


def _line(text: str) -> str:
    if text and not text.isprintable():
        raise ValueError("write it in one line of printable characters")
    return text.strip()


type Url = Annotated[str, Field(max_length=500)]
type Description = Annotated[str, Field(max_length=200), AfterValidator(_line)]
type Events = Annotated[
    list[Annotated[WebhookEvent, Field(strict=False)]], Field(min_length=1, max_length=20)
]


class WebhookIn(In):
    """Where to send which events."""

    url: Url
    events: Events
    description: Description = ""


class WebhookChangeIn(In):
    """What is to change; `enabled: true` starts an endpoint that was disabled anew."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    enabled: bool | None = None


class RotateSecretIn(In):
    """For how many seconds the old secret signs too, while the new one is deployed."""

    overlap_seconds: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP)] = 24 * 3600


class WebhookOut(Out):
    """An endpoint. `failing_since`: since when nothing was delivered; null where all is well."""

    id: UUID
    url: str
    description: str
    events: list[WebhookEvent]
    enabled: bool
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    # Until when the secret before the last rotation signs as well.
    old_secret_expires_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: WebhookEndpoint, **more: Any) -> Self:
        return cls.of_row(
            endpoint,
            enabled=endpoint.is_enabled,
            disabled_reason=endpoint.disabled_reason or None,
            old_secret_expires_at=signing.previous_secret_end(endpoint, timezone.now()),
            **more,
        )


class NewWebhookOut(WebhookOut):
    """The same with its secret, which is shown only here."""

    secret: str

    @classmethod
    def made(cls, new: NewEndpoint) -> Self:
        return cls.of(new.endpoint, secret=new.secret)


class WebhooksOut(ListOut[WebhookOut]):
    """All webhooks of the account, the newest first; there are at most 20."""


class DeliveriesIn(PageIn):
    """A page of the log, perhaps of the deliveries in one state."""

    state: Annotated[DeliveryState | None, Field(strict=False)] = None


class DeliveryOut(Out):
    """One event for one endpoint. `id` is its place in the log, `webhook_id` the header."""

    id: UUID
    webhook_id: str
    type: str
    state: DeliveryState
    tries: int
    # Of the last try: the answer's status, or what went wrong instead.
    status: int | None
    error: str | None
    duration_ms: int | None
    last_tried_at: datetime | None
    next_try_at: datetime | None
    delivered_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, delivery: WebhookDelivery, **more: Any) -> Self:
        return cls.of_row(
            delivery,
            webhook_id=delivery.message_id,
            type=delivery.event,
            error=delivery.error or None,
            **more,
        )


class DeliveryDetailOut(DeliveryOut):
    """The same with the body that is sent."""

    body: dict[str, Any]

    @classmethod
    def whole(cls, delivery: WebhookDelivery) -> Self:
        return cls.of(delivery, body=signing.content_of(delivery))


class DeliveriesOut(ListOut[DeliveryOut]):
    """Deliveries, the newest first."""
