"""The secrets of endpoints, and the signatures made with them (Standard Webhooks)."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from standardwebhooks import Webhook

from accounts.models import WebhookDelivery, WebhookEndpoint
from accounts.tenancy.resealing import Rotation, reseal_rows
from salient.formatting import utc
from salient.security.encryption import seal, unseal

PREFIX: Final = "whsec_"
# What the specification calls for is 24 to 64.
SECRET_BYTES: Final = 32


def new_secret() -> str:
    """Make a secret as receivers configure it: whsec_ and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal_secret(endpoint: WebhookEndpoint, secret: str) -> str:
    """Seal it for this row of this account: a row that was copied or edited signs nothing."""
    return seal(secret, bound_to=_owner(endpoint))


def secrets_of(endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """Return what signs now: the secret, and the one before it while it still counts.

    Raises SecretUnreadable and ImproperlyConfigured.
    """
    sealed = [endpoint.secret]
    if endpoint.previous_secret and previous_secret_end(endpoint, now) is not None:
        sealed.append(endpoint.previous_secret)
    return [unseal(each, bound_to=_owner(endpoint)) for each in sealed]


def previous_secret_end(endpoint: WebhookEndpoint, now: datetime) -> datetime | None:
    """Return until when the secret before the last rotation signs too; None if it does not."""
    end = endpoint.previous_secret_expires_at
    return end if end is not None and end > now else None


def reseal_secrets(rotation: Rotation, *, write: bool) -> None:
    """Seal every secret under the first of SECRET_ENCRYPTION_KEYS."""
    reseal_rows(
        WebhookEndpoint.objects.all,
        ("secret", "previous_secret"),
        lambda endpoint: f"{endpoint.account_id}/webhook {endpoint.pk}",
        rotation,
        write=write,
    )


def _owner(endpoint: WebhookEndpoint) -> tuple[str, ...]:
    return "webhook", str(endpoint.account_id), str(endpoint.pk)


def content_of(delivery: WebhookDelivery) -> dict[str, Any]:
    """Return what the body holds, the same in every try: {"type", "timestamp", "data"}."""
    return {"type": delivery.event, "timestamp": utc(delivery.created_at), "data": delivery.data}


def body_of(delivery: WebhookDelivery) -> str:
    return json.dumps(content_of(delivery), ensure_ascii=False, separators=(",", ":"))


def headers_of(message_id: str, body: str, keys: list[str], now: datetime) -> Mapping[str, str]:
    """Sign a body with each secret; `now` is when it is sent."""
    # The library reads the time as UTC and replaces its zone.
    moment = now.astimezone(UTC)
    signatures = [Webhook(key).sign(message_id, moment, body) for key in keys]
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
