"""The API for an account's webhooks: endpoints, secrets, a test event, the delivery log."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from accounts.api.webhook_schemas import (
    DeliveriesIn,
    DeliveriesOut,
    DeliveryDetailOut,
    DeliveryOut,
    NewWebhookOut,
    RotateSecretIn,
    WebhookChangeIn,
    WebhookIn,
    WebhookOut,
    WebhooksOut,
)
from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.limits.registry import Rates
from accounts.models import Scope
from accounts.webhooks import endpoints, log
from accounts.webhooks.endpoints import TooManyWebhooks, WebhookDisabled
from salient.api.schemas import path_uuid
from salient.database import in_database


@api_view("GET", scope=Scope.WEBHOOKS_READ, answer=WebhooksOut)
async def webhook_list(request: ApiRequest) -> WebhooksOut:
    """List the account's webhooks."""
    found = await in_database(endpoints.endpoints_of, request.caller.account_id)
    return WebhooksOut.of_page([WebhookOut.of(each) for each in found], None)


@api_view(
    "POST",
    scope=Scope.WEBHOOKS_WRITE,
    rate=Rates.MINT,
    body=WebhookIn,
    answer=NewWebhookOut,
    status=HTTPStatus.CREATED,
    problems=(TooManyWebhooks,),
)
async def webhook_create(request: ApiRequest, *, body: WebhookIn) -> NewWebhookOut:
    """Make a webhook; its secret is shown only here."""
    made = await in_database(
        endpoints.create_endpoint,
        request.caller.account_id,
        url=body.url,
        events=body.events,
        description=body.description,
    )
    return NewWebhookOut.made(made)


@api_view("GET", scope=Scope.WEBHOOKS_READ, answer=WebhookOut)
async def webhook_read(request: ApiRequest, webhook_id: str) -> WebhookOut:
    """Describe one webhook."""
    account_id, wanted = request.caller.account_id, path_uuid(webhook_id, "webhook")
    return WebhookOut.of(await in_database(endpoints.find_endpoint, account_id, wanted))


@api_view("PATCH", scope=Scope.WEBHOOKS_WRITE, body=WebhookChangeIn, answer=WebhookOut)
async def webhook_change(
    request: ApiRequest, webhook_id: str, *, body: WebhookChangeIn
) -> WebhookOut:
    """Change a webhook, switch it off or on."""
    changed = await in_database(
        endpoints.change_endpoint,
        request.caller.account_id,
        path_uuid(webhook_id, "webhook"),
        url=body.url,
        events=body.events,
        description=body.description,
        is_enabled=body.enabled,
    )
    return WebhookOut.of(changed)


@api_view("DELETE", scope=Scope.WEBHOOKS_WRITE, status=HTTPStatus.NO_CONTENT)
async def webhook_delete(request: ApiRequest, webhook_id: str) -> None:
    """Delete a webhook and its log; what waits is not sent."""
    account_id, wanted = request.caller.account_id, path_uuid(webhook_id, "webhook")
    await in_database(endpoints.delete_endpoint, account_id, wanted)


@api_view(
    "POST",
    scope=Scope.WEBHOOKS_WRITE,
    rate=Rates.MINT,
    body=RotateSecretIn,
    answer=NewWebhookOut,
)
async def webhook_rotate(
    request: ApiRequest, webhook_id: str, *, body: RotateSecretIn
) -> NewWebhookOut:
    """Give a webhook a new secret; during the overlap the old one signs too."""
    rotated = await in_database(
        endpoints.rotate_secret,
        request.caller.account_id,
        path_uuid(webhook_id, "webhook"),
        overlap=timedelta(seconds=body.overlap_seconds),
    )
    return NewWebhookOut.made(rotated)


@api_view(
    "POST",
    scope=Scope.WEBHOOKS_WRITE,
    rate=Rates.SEND,
    answer=DeliveryOut,
    status=HTTPStatus.CREATED,
    problems=(WebhookDisabled,),
)
async def webhook_test(request: ApiRequest, webhook_id: str) -> DeliveryOut:
    """Send an event of the type webhook.test; the log shows the result."""
    account_id, wanted = request.caller.account_id, path_uuid(webhook_id, "webhook")
    return DeliveryOut.of(await in_database(endpoints.send_test, account_id, wanted))


@api_view("GET", scope=Scope.WEBHOOKS_READ, query=DeliveriesIn, answer=DeliveriesOut)
async def delivery_list(
    request: ApiRequest, webhook_id: str, *, query: DeliveriesIn
) -> DeliveriesOut:
    """List what was sent to a webhook and what is waiting, newest first."""
    page, following = await in_database(
        log.deliveries_of,
        request.caller.account_id,
        path_uuid(webhook_id, "webhook"),
        state=query.state,
        cursor=query.cursor,
        limit=query.limit,
    )
    data = [DeliveryOut.of(each) for each in page]
    return DeliveriesOut.of_page(data, following)


@api_view("GET", scope=Scope.WEBHOOKS_READ, answer=DeliveryDetailOut)
async def one_delivery(request: ApiRequest, webhook_id: str, delivery_id: str) -> DeliveryDetailOut:
    """Describe one delivery, with its body."""
    ids = path_uuid(webhook_id, "delivery"), path_uuid(delivery_id, "delivery")
    found = await in_database(log.find_delivery, request.caller.account_id, *ids)
    return DeliveryDetailOut.whole(found)


@api_view(
    "POST",
    scope=Scope.WEBHOOKS_WRITE,
    rate=Rates.SEND,
    answer=DeliveryOut,
    problems=(WebhookDisabled,),
)
async def delivery_resend(request: ApiRequest, webhook_id: str, delivery_id: str) -> DeliveryOut:
    """Send a delivery again, with the same webhook-id."""
    ids = path_uuid(webhook_id, "delivery"), path_uuid(delivery_id, "delivery")
    renewed = await in_database(log.send_again, request.caller.account_id, *ids)
    return DeliveryOut.of(renewed)


all_webhooks = by_method(webhook_list, webhook_create)
one_webhook = by_method(webhook_read, webhook_change, webhook_delete)
