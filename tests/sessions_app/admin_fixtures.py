"""One row of each kind that the admin has pages of, and the addresses of these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Model
from django.urls import reverse
from django_tasks_db.models import DBTaskResult

import accounts.management.jobs
from accounts.limits.budgets import set_budget
from accounts.limits.quotas import set_limits
from accounts.models import (
    Account,
    AccountLimits,
    ApiKey,
    AuditEntry,
    Budget,
    Invitation,
    Membership,
    SupportAccess,
    User,
    WebhookDelivery,
    WebhookEndpoint,
)
from agents.connections.connections import create_connection
from agents.models import AgentInstance, ConfigVersion, ProviderConnection
from sessions_app.models import (
    AccountErasure,
    Erasure,
    LLMRequest,
    Message,
    MessageFeedback,
    Profile,
    SavedChat,
    Session,
)
from tests.support.factories import (
    make_account,
    make_audit_entry,
    make_config_version,
    make_delivery,
    make_erasure,
    make_feedback,
    make_instance,
    make_invitation,
    make_key,
    make_llm_request,
    make_membership,
    make_message,
    make_profile,
    make_saved_chat,
    make_session,
    make_support_access,
    make_user,
    make_webhook,
)


def address(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@contextmanager
def slow_queries_of(table: str) -> Iterator[None]:
    """Let the database stop each query that selects from the table, as it takes too long."""

    def slow(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        if sql.startswith(f'SELECT "{table}"'):
            execute("SET LOCAL statement_timeout = '10ms'", None, False, context)
            return execute("SELECT pg_sleep(2)", None, False, context)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(slow):
        yield


def make_one_of_each() -> dict[type[Model], Any]:
    """One more row of every registered model, each with an account of its own."""
    account = make_account()
    instance = make_instance(account)
    version = make_config_version(instance)
    session = make_session(instance)
    request = make_llm_request(session, config_version=version)
    message = make_message(session, llm_request=request, config_version=version)
    user, owner = make_user(), make_user()
    delivery = make_delivery(make_webhook(account))
    return {
        Account: account.pk,
        AccountLimits: set_limits(account, concurrent_turns=3).pk,
        Budget: set_budget(account, period="day", limit=Decimal(1)).pk,
        Membership: make_membership(account, owner, role="owner").pk,
        Invitation: make_invitation(account, email="new@example.com", role="viewer").pk,
        AgentInstance: instance.pk,
        ConfigVersion: version.pk,
        ApiKey: make_key(account)[0].pk,
        Session: session.pk,
        LLMRequest: request.pk,
        Message: message.pk,
        MessageFeedback: make_feedback(message).pk,
        SavedChat: make_saved_chat(instance).pk,
        AuditEntry: make_audit_entry(account).pk,
        SupportAccess: make_support_access(account).pk,
        Profile: make_profile(session).pk,
        ProviderConnection: create_connection(
            account.pk, name="own", base_url="https://models.example.com"
        ).pk,
        WebhookEndpoint: delivery.endpoint_id,
        WebhookDelivery: delivery.pk,
        Erasure: make_erasure(account).pk,
        AccountErasure: AccountErasure.objects.create(erased_id=account.pk, slug=account.slug).pk,
        DBTaskResult: accounts.management.jobs.forget_past_limits.enqueue().id,
        User: user.pk,
        Group: Group.objects.create(name=str(account.pk)).pk,
    }
