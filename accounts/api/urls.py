"""The API's addresses of an account, its keys and its members, and the links sent to people."""

from django.urls import path

from accounts.api import (
    audit_views,
    key_views,
    limit_views,
    member_views,
    views,
    webhook_views,
)
from accounts.api.openapi import views as openapi_views
from accounts.pages import invitation, key_offer

app_name = "accounts"

urlpatterns = [
    path("openapi.json", openapi_views.account_openapi, name="api-document"),
    path("me", views.who_am_i, name="me"),
    path("keys/rotate", views.rotate_key, name="rotate-key"),
    path("keys", key_views.all_keys, name="keys"),
    path("keys/<str:key_id>", key_views.one_key, name="key"),
    path("keys/<str:key_id>/rotate", key_views.key_rotate, name="rotate-one"),
    path("keys/<str:key_id>/revoke", key_views.key_revoke, name="revoke-key"),
    path("limits", limit_views.account_limits, name="limits"),
    path("budgets", limit_views.all_budgets, name="budgets"),
    path("budgets/<str:budget_id>", limit_views.one_budget, name="budget"),
    path("audit", audit_views.audit, name="audit"),
    path("members", member_views.all_members, name="members"),
    path("members/<str:member_id>", member_views.one_member, name="member"),
    path("invitations", member_views.invitation_list, name="invitations"),
    path("invitations/<str:invitation_id>", member_views.invitation_withdraw, name="withdraw"),
    path("webhooks", webhook_views.all_webhooks, name="webhooks"),
    path("webhooks/<str:webhook_id>", webhook_views.one_webhook, name="webhook"),
    path("webhooks/<str:webhook_id>/rotate", webhook_views.webhook_rotate, name="rotate-webhook"),
    path("webhooks/<str:webhook_id>/test", webhook_views.webhook_test, name="test-webhook"),
    path("webhooks/<str:webhook_id>/deliveries", webhook_views.delivery_list, name="deliveries"),
    path(
        "webhooks/<str:webhook_id>/deliveries/<str:delivery_id>",
        webhook_views.one_delivery,
        name="delivery",
    ),
    path(
        "webhooks/<str:webhook_id>/deliveries/<str:delivery_id>/resend",
        webhook_views.delivery_resend,
        name="resend-delivery",
    ),
    # With a slash at the end: salient/api/routing.py knows pages by it.
    path("invitations/<str:token>/", invitation.invitation, name="invitation"),
    path("invitation/", invitation.join, name="join"),
    path("keys/<str:token>/", key_offer.offer, name="key-offer"),
    path("key/", key_offer.take, name="take-key"),
]
