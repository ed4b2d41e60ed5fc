"""The endpoints of an account: made, changed, deleted, their secrets rotated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts.models import DeliveryState, DisabledReason, WebhookDelivery, WebhookEndpoint
from accounts.tenancy.context import tenant_context
from accounts.tenancy.locks import lock_rows
from accounts.webhooks import signing
from salient.api.problems import Invalid, Problem, first_or_404
from salient.ids import uuid7
from salient.security.ssrf import SafeURL, UnsafeURL, check_url

MOST_ENDPOINTS: Final = 20
# Of an endpoint that was switched off, what still waited.
DISABLED: Final = "endpoint_disabled"
TEST_EVENT: Final = "webhook.test"


class TooManyWebhooks(Problem):
    """The account has 20 webhooks."""

    status = HTTPStatus.CONFLICT
    code = "too_many_webhooks"
    detail = f"An account has at most {MOST_ENDPOINTS} webhooks."


class WebhookDisabled(Problem):
    """The webhook is disabled: enable it first."""

    status = HTTPStatus.CONFLICT
    code = "webhook_disabled"
    detail = "The webhook is disabled: enable it first."


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """An endpoint and its secret, which nobody can read again."""

    endpoint: WebhookEndpoint
    secret: str


def endpoints_of(account_id: UUID) -> list[WebhookEndpoint]:
    with tenant_context(account_id):
        return list(WebhookEndpoint.objects.order_by("-created_at", "-id"))


def find_endpoint(account_id: UUID, endpoint_id: UUID) -> WebhookEndpoint:
    """Return the account's endpoint; raises NotFound."""
    with tenant_context(account_id):
        return _found(endpoint_id, lock=False)


def create_endpoint(
    account_id: UUID, *, url: str, events: Iterable[str], description: str = ""
) -> NewEndpoint:
    """Make an endpoint with a new secret; raises Invalid and TooManyWebhooks."""
    endpoint = WebhookEndpoint(id=uuid7(), account_id=account_id, description=description)
    endpoint.url, endpoint.events = read_url(url), in_order(events)
    secret = signing.new_secret()
    endpoint.secret = signing.seal_secret(endpoint, secret)
    with tenant_context(account_id):
        lock_rows("webhooks", account_id)
        if WebhookEndpoint.objects.count() >= MOST_ENDPOINTS:
            raise TooManyWebhooks
        endpoint.save(force_insert=True)
    return NewEndpoint(endpoint, secret)


def change_endpoint(
    account_id: UUID,
    endpoint_id: UUID,
    *,
    url: str | None = None,
    events: Iterable[str] | None = None,
    description: str | None = None,
    is_enabled: bool | None = None,
) -> WebhookEndpoint:
    """Change what is given; an endpoint that is disabled gives up what still waits for it."""
    with tenant_context(account_id):
        endpoint = _found(endpoint_id, lock=True)
        if url is not None:
            endpoint.url = read_url(url)
        if events is not None:
            endpoint.events = in_order(events)
        if description is not None:
            endpoint.description = description
        if is_enabled is not None and is_enabled != endpoint.is_enabled:
            switch(endpoint, on=is_enabled)
        endpoint.save()
    return endpoint


def delete_endpoint(account_id: UUID, endpoint_id: UUID) -> None:
    """Delete it with its log; what waits is not sent."""
    with tenant_context(account_id):
        WebhookEndpoint.objects.filter(pk=_found(endpoint_id, lock=True).pk).delete()


def rotate_secret(account_id: UUID, endpoint_id: UUID, *, overlap: timedelta) -> NewEndpoint:
    """Give it a new secret; for the time of the overlap both sign."""
    secret = signing.new_secret()
    with tenant_context(account_id):
        endpoint = _found(endpoint_id, lock=True)
        endpoint.previous_secret, endpoint.secret = (
            endpoint.secret,
            signing.seal_secret(endpoint, secret),
        )
        endpoint.previous_secret_expires_at = timezone.now() + overlap
        if not overlap:
            endpoint.previous_secret, endpoint.previous_secret_expires_at = "", None
        endpoint.save()
    return NewEndpoint(endpoint, secret)


def send_test(account_id: UUID, endpoint_id: UUID) -> WebhookDelivery:
    """Put an event of the type webhook.test into the outbox, or return the one that waits.

    Raises NotFound and WebhookDisabled.
    """
    with tenant_context(account_id):
        endpoint = _found(endpoint_id, lock=True)
        if not endpoint.is_enabled:
            raise WebhookDisabled
        waiting: WebhookDelivery | None = (
            endpoint.deliveries.pending().filter(event=TEST_EVENT).first()
        )
        if waiting is not None:
            return waiting
        key = uuid7()
        made = WebhookDelivery(
            id=key,
            account_id=account_id,
            endpoint=endpoint,
            message_id=f"msg_{key.hex}",
            event=TEST_EVENT,
            data={"webhook_id": str(endpoint.pk)},
        )
        made.save(force_insert=True)
        return made


def switch(endpoint: WebhookEndpoint, *, on: bool, reason: str = DisabledReason.BY_HAND) -> None:
    """Set the unsaved row on or off, inside a context; off, what waits for it has failed."""
    endpoint.is_enabled, endpoint.failing_since = on, None
    endpoint.disabled_reason = "" if on else reason
    if not on:
        endpoint.deliveries.pending().update(
            state=DeliveryState.FAILED, next_try_at=None, error=DISABLED
        )


def allowed_url(url: str) -> SafeURL:
    """Read an endpoint's address; raises UnsafeURL. Model servers inside are none of its."""
    return check_url(url, trusted=settings.WEBHOOK_TRUSTED_HOSTS)


def read_url(url: str) -> str:
    """Return the address in its one written form; raises Invalid, which says what is wrong."""
    try:
        return str(allowed_url(url))
    except UnsafeURL as error:
        raise Invalid.field("url", str(error)) from error


def in_order(events: Iterable[str]) -> list[str]:
    """Return each event once, sorted; raises Invalid without any."""
    found = sorted(set(events))
    if not found:
        raise Invalid.field("events", "name at least one event")
    return found


def _found(endpoint_id: UUID, *, lock: bool) -> WebhookEndpoint:
    rows = WebhookEndpoint.objects.filter(pk=endpoint_id)
    return first_or_404(rows.select_for_update(no_key=True) if lock else rows, "webhook")
