"""The e-mail that tells an account's owners of a webhook that was disabled."""

from __future__ import annotations

from uuid import UUID

from django.core.mail import send_mail

from accounts.models import DisabledReason, MemberRole, Membership, WebhookEndpoint
from accounts.tenancy.context import platform_context

REASONS = {
    DisabledReason.GONE: "it answered with the status 410 (Gone)",
    DisabledReason.FAILING: "nothing could be delivered to it for three days",
}


def mail_owners(account_id: UUID, endpoint_id: UUID) -> None:
    """Send it to the owners and admins; nothing where the endpoint is enabled again."""
    with platform_context():
        rows = WebhookEndpoint.objects.filter(account_id=account_id, pk=endpoint_id)
        endpoint = rows.select_related("account").filter(is_enabled=False).first()
        people = Membership.objects.filter(
            account_id=account_id,
            role__in=[MemberRole.OWNER, MemberRole.ADMIN],
            user__is_active=True,
        )
        addresses = list(people.order_by("user__email").values_list("user__email", flat=True))
    if endpoint is None or endpoint.disabled_reason not in REASONS or not addresses:
        return
    slug = endpoint.account.slug
    text = (
        f"Salient sends nothing more to the webhook {endpoint.url} of the account {slug}: "
        f"{REASONS[DisabledReason(endpoint.disabled_reason)]}. What waited for it was given up.\n\n"
        "When it works again, enable it; the deliveries of the last days can be sent again one by "
        "one."
    )
    send_mail(f"{slug}: a webhook was disabled", text, None, addresses)
