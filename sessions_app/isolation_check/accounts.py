"""Makes two fixture accounts with rows of every kind, and removes them after the check."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpResponse
from django.utils import timezone

from accounts.auth import visitor_tokens
from accounts.keys.services import issue_api_key
from accounts.models import (
    Account,
    AccountLimits,
    ApiKey,
    Budget,
    BudgetPeriod,
    DeliveryState,
    FormerSlug,
    Invitation,
    KeyMode,
    MemberRole,
    Membership,
    RateState,
    RefusalDay,
    SupportAccess,
    User,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from accounts.models.slugs import CHECK_PREFIX
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import (
    AgentInstance,
    ConfigDraft,
    ConfigPublication,
    ConfigVersion,
    FormerAgentSlug,
    ProviderConnection,
)
from sessions_app.models import (
    Erasure,
    IdentifierKind,
    LegalHold,
    LLMRequest,
    Message,
    MessageFeedback,
    Profile,
    PromptSection,
    Retention,
    Role,
    SavedChat,
    SavedChatRun,
    Session,
    TurnCancellation,
    TurnEventBatch,
    UsageDay,
    UsageTotal,
)
from sessions_app.models.insights import LATENCY_BUCKETS

# A check removes what a killed check left behind, once it is this old.
LEFT_AFTER = timedelta(hours=1)
UNLIMITED = 1_000_000
# A domain that cannot be registered (RFC 2606).
PEOPLE = "@isolation-check.invalid"


@dataclass(frozen=True, slots=True)
class FixtureAccount:
    """One account, its secrets, and the ids of its rows as paths and bodies have them."""

    account: Account
    instance: AgentInstance
    key: str
    user: User
    session: Session
    # Part of every text of every row that no other account may see.
    canary: str
    ids: dict[str, list[str]]
    cookies: dict[str, str]


@contextmanager
def two_accounts() -> Iterator[tuple[FixtureAccount, FixtureAccount]]:
    """Make both, and remove them also after an error."""
    _remove(older_than=LEFT_AFTER)
    suffix = secrets.token_hex(4)
    made: list[FixtureAccount] = []
    try:
        made += [_make(f"a-{suffix}")]
        made += [_make(f"b-{suffix}")]
        yield made[0], made[1]
    finally:
        _remove(suffix=suffix)
        for each in made:
            _sessions()().delete(each.cookies["member"].partition("=")[2])


def _make(suffix: str) -> FixtureAccount:
    canary = f"canary-{suffix}-{secrets.token_hex(8)}"
    account = Account(slug=f"{CHECK_PREFIX}{suffix}", name="Isolation check")
    with platform_context():
        account.save(force_insert=True)
    user = User.objects.create_user(f"{canary}{PEOPLE}", first_name=canary)
    # A test key never calls a model that costs money.
    key, text = issue_api_key(account, name=canary, mode=KeyMode.TEST)
    with tenant_context(account.pk):
        ids = _fill(account, user, canary)
        instance = AgentInstance.objects.get()
        session = Session.objects.get()
        _fill_records(session, canary)
    _fill_of_platform(account, user, session, canary)
    ids |= {"key": [str(key.pk), key.key_id], "user": [str(user.pk)]}
    cookies = {"member": _login_cookie(user), "visitor": _visitor_cookie(account, instance)}
    return FixtureAccount(account, instance, text, user, session, canary, ids, cookies)


def _fill(account: Account, user: User, canary: str) -> dict[str, list[str]]:
    """Make a row of every kind; return the ids that paths and bodies use."""
    now = timezone.now()
    member = Membership.objects.create(account=account, user=user, role=MemberRole.OWNER)
    invitation = Invitation.objects.create(
        account=account,
        email=f"guest-{canary}{PEOPLE}",
        role=MemberRole.VIEWER,
        token_hash=canary,
        expires_at=now + timedelta(hours=1),
    )
    limits = [field.name for field in AccountLimits._meta.fields if "per_minute" in field.name]
    AccountLimits.objects.create(account=account, **dict.fromkeys(limits, UNLIMITED))
    Budget.objects.create(account=account, period=BudgetPeriod.MONTH, limit=1, period_start=now)
    RateState.objects.create(account=account, subject=canary, arrival=now)
    connection = ProviderConnection.objects.create(
        account=account, name=canary[:20], base_url=f"https://{canary}.example.invalid/v1"
    )
    ids = {
        "member_id": [str(member.pk)],
        "invitation_id": [str(invitation.pk)],
        "name": [connection.name],
    }
    return ids | _fill_webhooks(account, canary) | _fill_conversation(account, canary)


def _fill_webhooks(account: Account, canary: str) -> dict[str, list[str]]:
    webhook = WebhookEndpoint.objects.create(
        account=account,
        url=f"https://{canary}.example.invalid/hook",
        events=[WebhookEvent.KEY_EXPIRING],
        # Nothing can be sent to it.
        secret=canary,
    )
    delivery = WebhookDelivery.objects.create(
        account=account,
        endpoint=webhook,
        message_id=canary,
        event=WebhookEvent.KEY_EXPIRING,
        data={"note": canary},
        state=DeliveryState.DELIVERED,
        next_try_at=None,
    )
    return {"webhook_id": [str(webhook.pk)], "delivery_id": [str(delivery.pk)]}


def _fill_conversation(account: Account, canary: str) -> dict[str, list[str]]:
    instance = AgentInstance.objects.create(
        account=account, instance_slug=f"bot-{canary[7:8]}", display_name="Isolation check"
    )
    of_instance: dict[str, Any] = {"account": account, "agent_instance": instance}
    owner = of_instance | {
        "account_slug": account.slug,
        "agent_instance_slug": instance.instance_slug,
    }
    # The agent has no files, so its last version serves: this one, which costs nothing.
    content = {"model": "scripted:echo", "system_prompt": canary}
    version = ConfigVersion.objects.create(
        **of_instance, digest=secrets.token_hex(32), content=content
    )
    said = {"email": f"{canary}{PEOPLE}", "title": canary, "meta": {"note": canary}}
    session = Session.objects.create(**owner, session_key=secrets.token_hex(32), **said)
    request = LLMRequest.objects.create(
        **owner,
        session=session,
        agent_type="simple_chat",
        config_version=version,
        provider="scripted",
        model="echo",
        completion_status="complete",
        request_body={"note": canary},
        caller=canary,
    )
    message = Message.objects.create(
        **of_instance, session=session, llm_request=request, role=Role.HUMAN, content=canary
    )
    Profile.objects.create(account=account, session=session, customer_name=canary)
    return {
        "session_id": [str(session.pk)],
        "message_id": [str(message.pk)],
        "request_id": [str(request.pk)],
        "turn_id": [str(request.pk)],
        "version_id": [str(version.pk)],
    }


def _fill_records(session: Session, canary: str) -> None:
    """Make rows of what refers to a conversation or a configuration."""
    account = {"account_id": session.account_id}
    of_instance: dict[str, Any] = account | {"agent_instance_id": session.agent_instance_id}
    message = Message.objects.get()
    turn = account | {"llm_request_id": message.llm_request_id}
    TurnEventBatch.objects.create(**turn, first_number=0, events=[canary])
    TurnCancellation.objects.create(**turn)
    version = {"config_version": ConfigVersion.objects.get()}
    FormerAgentSlug.objects.create(
        **of_instance, instance_slug=canary[:63], expires_at=timezone.now() + LEFT_AFTER
    )
    ConfigDraft.objects.create(**of_instance, text=canary)
    ConfigPublication.objects.create(**of_instance, **version, number=1, note=canary)
    UsageDay.objects.create(
        **of_instance,
        day=timezone.now().date(),
        model=canary,
        latency_buckets=[0] * LATENCY_BUCKETS,
    )
    Erasure.objects.create(
        **account, kind=IdentifierKind.EMAIL, person_hash=canary[:64], reason=canary, actor=canary
    )
    PromptSection.objects.create(**account, digest=secrets.token_hex(32), text=canary)
    MessageFeedback.objects.create(
        **of_instance, session=session, message=message, rating=1, comment=canary, caller=canary
    )
    chat = SavedChat.objects.create(**of_instance, name=canary, messages=[canary])
    SavedChatRun.objects.create(
        **of_instance, **version, saved_chat=chat, passed=True, answers=[canary], latency_ms=0
    )


def _fill_of_platform(account: Account, user: User, session: Session, canary: str) -> None:
    """Make the rows that only the platform's role writes."""
    with platform_context():
        SupportAccess.objects.create(
            account=account,
            user=user,
            staff=canary,
            reason=canary,
            expires_at=timezone.now() + LEFT_AFTER,
        )
        FormerSlug.objects.create(
            account=account, slug=canary[:63], expires_at=timezone.now() + LEFT_AFTER
        )
        Retention.objects.create(account=account)
        LegalHold.objects.create(
            account=account,
            session_id=session.pk,
            reason=canary,
            actor=canary,
            released_at=timezone.now(),
        )
        RefusalDay.objects.create(
            account=account,
            day=timezone.now().date(),
            code="forbidden",
            status=403,
            caller="unknown",
            agent=canary[:63],
            times=1,
            last_at=timezone.now(),
        )
        UsageTotal.objects.create(
            account=account, day=timezone.now().date(), model=canary, latency_buckets=[]
        )


def _login_cookie(user: User) -> str:
    store = _sessions()()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.set_expiry(LEFT_AFTER)
    store.create()
    return f"{settings.SESSION_COOKIE_NAME}={store.session_key}"


def _visitor_cookie(account: Account, instance: AgentInstance) -> str:
    response = HttpResponse()
    visitor_tokens.set_cookie(response, account.slug, instance.instance_slug)
    [cookie] = response.cookies.values()
    return f"{cookie.key}={cookie.value}"


def _remove(*, suffix: str = "", older_than: timedelta = timedelta(0)) -> None:
    """Remove the accounts with this suffix, or those of all old checks, with their people."""
    moment = timezone.now() - older_than
    with platform_context(statement_seconds=60):
        accounts = Account.objects.filter(slug__startswith=CHECK_PREFIX, created_at__lte=moment)
        accounts.filter(slug__endswith=suffix).delete()
        people = User.objects.filter(email__startswith="canary-", email__endswith=PEOPLE)
        people.filter(email__contains=suffix, date_joined__lte=moment).delete()


def _sessions() -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore


def freeze_last_used() -> None:
    """Set the keys' `last_used_at`, which is written once a minute, before rows are compared."""
    with platform_context():
        keys = ApiKey.objects.filter(account__slug__startswith=CHECK_PREFIX)
        keys.update(last_used_at=timezone.now() + LEFT_AFTER)
