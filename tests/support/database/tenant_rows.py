"""One row of every model of a tenant, and what its tables hold."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models
from django.utils import timezone

from accounts.models import Account, AttemptRate, SentForm
from accounts.tenancy.context import TenantModel, platform_context
from salient.ids import uuid7
from sessions_app.models import AccountErasure, ServerProcess
from tests.support.factories import (
    make_account,
    make_audit_entry,
    make_budget,
    make_cancellation,
    make_config_draft,
    make_config_publication,
    make_config_version,
    make_connection,
    make_delivery,
    make_erasure,
    make_event_batch,
    make_feedback,
    make_former_slugs,
    make_hold,
    make_instance,
    make_invitation,
    make_key,
    make_limits,
    make_llm_request,
    make_membership,
    make_message,
    make_profile,
    make_prompt_section,
    make_rate_state,
    make_refusals,
    make_retention,
    make_saved_chat,
    make_saved_chat_run,
    make_session,
    make_support_access,
    make_usage_day,
    make_usage_total,
    make_user,
    make_webhook,
)

type Rows = dict[type[models.Model], Any]


OWN_MODELS = [
    model
    for app in ("accounts", "agents", "sessions_app")
    for model in apps.get_app_config(app).get_models()
]


TENANT_MODELS: set[Any] = {model for model in OWN_MODELS if issubclass(model, TenantModel)}


def make_tenant(slug: str) -> Rows:
    """Make an account with one row of every model that refer to one another."""
    account = make_account(slug)
    key, _ = make_key(account, expires_at=None)
    instance = make_instance(account, "bot")
    version = make_config_version(instance)
    user = make_user(is_auditor=True)
    session = make_session(instance, user=user)
    request = make_llm_request(session, config_version=version)
    message = make_message(session, llm_request=request, config_version=version)
    # In a second session, so that a test can move the profile to the first one.
    profile = make_profile(make_session(instance))
    made = [account, key, instance, version, user, session, request, message, profile]
    made += [make_membership(account), make_invitation(account), make_limits(account)]
    # Of a second instance, so that a test can move them to the first one.
    second = make_instance(account, "bot2")
    made += [make_budget(account, agent_instance_id=second.pk)]
    made += [make_config_draft(second, author=user), make_config_publication(second, author=user)]
    made += make_former_slugs(second)
    made += [make_rate_state(account), make_refusals(account), make_connection(account)]
    # It belongs to no account.
    made += [ServerProcess.objects.create(pid=1)]
    made += [AttemptRate.objects.create(subject=str(account.pk), arrival=timezone.now())]
    made += [SentForm.objects.create(pk=account.pk, leads_to="/admin/", said="")]
    chat = make_saved_chat(instance)
    made += [chat, make_saved_chat_run(chat, config_version=version)]
    made += [
        make_usage_day(instance),
        make_usage_total(account),
        make_prompt_section(account),
        make_feedback(message),
    ]
    made += [make_support_access(account, user), make_audit_entry(account)]
    webhook = make_webhook(account)
    made += [webhook, make_delivery(webhook)]
    # Of a second turn, so that a test can move them to the first one.
    turn = make_llm_request(session, config_version=version)
    made += [
        make_hold(session, released_at=timezone.now()),
        make_retention(account, texts_days=100),
    ]
    made += [
        AccountErasure.objects.create(erased_id=uuid7(), slug=slug, finished_at=timezone.now())
    ]
    made += [make_event_batch(turn), make_cancellation(turn), make_erasure(account)]
    return {type(row): row for row in made}


def contents(tenant_context: Rows) -> dict[str, list[dict[str, Any]]]:
    """Return the account's rows of every table with rows of accounts."""
    account = tenant_context[Account].pk
    with platform_context():
        return {
            model._meta.db_table: list(
                model._base_manager.filter(account_id=account).order_by("pk").values()
            )
            for model in TENANT_MODELS
        }
