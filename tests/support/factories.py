"""Makes rows for tests, in the same contexts as the product does."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import get_hasher, make_password
from django.db.models import Model
from django.utils import timezone

from accounts.keys.services import issue_api_key
from accounts.models import (
    Account,
    AccountLimits,
    ApiKey,
    AuditEntry,
    Budget,
    BudgetPeriod,
    FormerSlug,
    Invitation,
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
from accounts.models.slugs import title_of
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
from tests.support.database.stored import as_platform

_numbers = count(1)


def _make[M: Model](model: type[M], owner: Any, /, **values: Any) -> M:
    """Make a row of an account, or of the account that another row belongs to."""
    is_account = isinstance(owner, Account)
    account_id = owner.pk if is_account else owner.account_id
    values |= {"account": owner} if is_account else {"account_id": account_id}
    with tenant_context(account_id):
        return model._default_manager.create(**values)


def _make_by_platform[M: Model](model: type[M], /, **values: Any) -> M:
    return as_platform(model._default_manager.create, **values)


def make_account(slug: str = "", **fields: Any) -> Account:
    """Store an account as it is: `create_account` validates what a caller sends."""
    slug = slug or f"account-{next(_numbers)}"
    account = Account(slug=slug, name=title_of(slug))
    with platform_context():
        account.save(force_insert=True)
    if fields:
        Account.objects.filter(pk=account.pk).update(**fields)
        account.refresh_from_db()
    return account


def make_instance(account: Account | None = None, slug: str = "") -> AgentInstance:
    """Store an agent as it is, as `make_account` does."""
    account, slug = account or make_account(), slug or f"agent-{next(_numbers)}"
    fields = {"instance_slug": slug, "display_name": title_of(slug), "agent_type": "simple_chat"}
    instance = AgentInstance(account=account, **fields)
    with tenant_context(account.pk):
        instance.save(force_insert=True)
    return instance


def make_key(account: Account, **fields: Any) -> tuple[ApiKey, str]:
    return issue_api_key(account, **{"name": "tests", **fields})


def make_user(email: str = "", *, password: str | None = None, **fields: Any) -> User:
    user = User.objects.create_user(email or f"user{next(_numbers)}@example.com", **fields)
    if password is not None:
        user.password = _hash_of(password, get_hasher().algorithm)
        user.save(update_fields=["password"])
    return user


@cache
def _hash_of(password: str, algorithm: str) -> str:
    """Hash a password once for all tests, as each hash is made to take long."""
    assert algorithm
    return make_password(password)


def write_config(
    base: Path, account: str, instance: str, text: str, prompt: str = "Be brief."
) -> Path:
    """Write an instance's files under base and return its config.yaml."""
    folder = base / account / instance
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "system_prompt.md").write_text(prompt)
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def make_config_version(instance: AgentInstance, **fields: Any) -> ConfigVersion:
    values = {"digest": f"{next(_numbers):064x}", "content": {"model": "scripted:echo"}} | fields
    return _make(ConfigVersion, instance, agent_instance=instance, **values)


def make_session(instance: AgentInstance | None = None, **fields: Any) -> Session:
    instance = instance or make_instance()
    values = {"session_key": f"key-{next(_numbers)}"} | fields
    return _make(Session, instance, **_owner(instance), **values)


def make_llm_request(session: Session, **fields: Any) -> LLMRequest:
    values = {"provider": "scripted", "model": "echo", "completion_status": "complete"} | fields
    values |= _owner(session.agent_instance) | {"agent_type": "simple_chat"}
    return _make(LLMRequest, session, session=session, **values)


def make_message(session: Session, **fields: Any) -> Message:
    values = {"role": Role.HUMAN, "content": "Hello"} | fields
    return _make(
        Message, session, agent_instance_id=session.agent_instance_id, session=session, **values
    )


def make_profile(session: Session, **fields: Any) -> Profile:
    values = {"customer_name": "Ann"} | fields
    return _make(Profile, session, session=session, **values)


def make_membership(account: Account, user: User | None = None, **fields: Any) -> Membership:
    values = {"user": user or make_user(), "role": MemberRole.MEMBER} | fields
    return _make(Membership, account, **values)


def make_invitation(account: Account, **fields: Any) -> Invitation:
    number = next(_numbers)
    values = {
        "email": f"guest{number}@example.com",
        "role": MemberRole.MEMBER,
        "token_hash": f"{number:064x}",
        "expires_at": timezone.now() + timedelta(days=7),
    }
    return _make(Invitation, account, **values | fields)


def make_limits(account: Account, **fields: Any) -> AccountLimits:
    return _make(AccountLimits, account, **fields)


def make_budget(account: Account, **fields: Any) -> Budget:
    values = {"period": BudgetPeriod.MONTH, "limit": 10, "period_start": timezone.now()} | fields
    return _make(Budget, account, **values)


def make_rate_state(account: Account, **fields: Any) -> RateState:
    values = {"subject": f"key:{next(_numbers)}", "arrival": timezone.now()} | fields
    return _make(RateState, account, **values)


def make_former_slugs(instance: AgentInstance) -> tuple[FormerSlug, FormerAgentSlug]:
    """Make a slug that the account had, and one that the agent had."""
    name, until = f"former-{next(_numbers)}", timezone.now() + timedelta(days=1)
    with platform_context():
        return (
            FormerSlug.objects.create(account_id=instance.account_id, slug=name, expires_at=until),
            FormerAgentSlug.objects.create(
                account_id=instance.account_id,
                agent_instance_id=instance.pk,
                instance_slug=name,
                expires_at=until,
            ),
        )


def make_refusals(account: Account, **fields: Any) -> RefusalDay:
    now = timezone.now()
    values = {"day": now.date(), "code": "forbidden", "status": 403, "caller": "secret_key"}
    values |= {"key_id": "", "agent": "", "times": 1, "last_at": now}
    return _make_by_platform(RefusalDay, account=account, **values | fields)


def make_connection(account: Account, **fields: Any) -> ProviderConnection:
    values = {"name": f"server-{next(_numbers)}", "base_url": "https://models.example/v1"} | fields
    return _make(ProviderConnection, account, **values)


def make_webhook(account: Account, **fields: Any) -> WebhookEndpoint:
    """Make an endpoint whose secret is none: nothing can be sent to it."""
    values = {"url": "https://hooks.example/in", "events": [WebhookEvent.KEY_EXPIRING]} | fields
    return _make(WebhookEndpoint, account, **values)


def make_delivery(endpoint: WebhookEndpoint, **fields: Any) -> WebhookDelivery:
    values = {"message_id": f"msg_{next(_numbers)}", "event": "key.expiring", "data": {}} | fields
    return _make(WebhookDelivery, endpoint, endpoint=endpoint, **values)


def make_audit_entry(account: Account | None, **fields: Any) -> AuditEntry:
    """Write an entry by hand, as what is noted is; without an account it is the platform's."""
    values = {"action": "noted", "object_type": "accounts", "object_id": str(next(_numbers))}
    return _make_by_platform(AuditEntry, account=account, **values | fields)


def make_support_access(account: Account, user: User | None = None, **fields: Any) -> SupportAccess:
    user = user or make_user(is_staff=True)
    values = {"staff": user.email, "reason": "ticket 7"} | fields
    values.setdefault("expires_at", timezone.now() + timedelta(hours=1))
    return _make_by_platform(SupportAccess, account=account, user=user, **values)


def make_config_draft(instance: AgentInstance, **fields: Any) -> ConfigDraft:
    values = {"text": "model: scripted:echo\n"} | fields
    return _make(ConfigDraft, instance, agent_instance=instance, **values)


def make_config_publication(instance: AgentInstance, **fields: Any) -> ConfigPublication:
    values = {"number": 1, "text": "", "override": {}, "note": "Shorter answers."} | fields
    values.setdefault("config_version", make_config_version(instance))
    return _make(ConfigPublication, instance, agent_instance=instance, **values)


def make_usage_day(instance: AgentInstance, **fields: Any) -> UsageDay:
    values = {
        "day": timezone.now().date(),
        "model": "scripted:echo",
        "requests": 1,
        "latency_buckets": [0] * LATENCY_BUCKETS,
    }
    return _make(UsageDay, instance, agent_instance=instance, **values | fields)


def make_usage_total(account: Account, **fields: Any) -> UsageTotal:
    values = {"day": timezone.now().date(), "model": "", "latency_buckets": []}
    return _make_by_platform(UsageTotal, account=account, **values | fields)


def make_prompt_section(account: Account, **fields: Any) -> PromptSection:
    values = {"digest": f"{next(_numbers):064x}", "text": "Be brief."} | fields
    return _make(PromptSection, account, **values)


def make_event_batch(request: LLMRequest, **fields: Any) -> TurnEventBatch:
    values = {"first_number": 0, "events": ["Hello"]} | fields
    return _make(TurnEventBatch, request, llm_request=request, **values)


def make_cancellation(request: LLMRequest) -> TurnCancellation:
    return _make(TurnCancellation, request, llm_request=request)


def make_hold(session: Session, **fields: Any) -> LegalHold:
    values = {"reason": "File 1", "actor": "olaf@platform.example"} | fields
    return _make_by_platform(
        LegalHold, account_id=session.account_id, session_id=session.pk, **values
    )


def make_retention(account: Account, **fields: Any) -> Retention:
    return _make_by_platform(Retention, account=account, **fields)


def make_erasure(account: Account, **fields: Any) -> Erasure:
    values = {"kind": "email", "person_hash": f"{next(_numbers):064x}", "reason": "ticket 7"}
    return _make(Erasure, account, **values | fields)


def make_feedback(message: Message, **fields: Any) -> MessageFeedback:
    values = {"rating": 1, "caller": f"key:{next(_numbers)}"} | fields
    return _make(
        MessageFeedback,
        message,
        agent_instance_id=message.agent_instance_id,
        session_id=message.session_id,
        message=message,
        **values,
    )


def make_saved_chat(instance: AgentInstance, **fields: Any) -> SavedChat:
    values = {"name": f"chat {next(_numbers)}", "messages": ["Hello"]} | fields
    return _make(SavedChat, instance, agent_instance=instance, **values)


def make_saved_chat_run(chat: SavedChat, **fields: Any) -> SavedChatRun:
    values = {"passed": True, "answers": [], "latency_ms": 5} | fields
    return _make(
        SavedChatRun, chat, agent_instance_id=chat.agent_instance_id, saved_chat=chat, **values
    )


def _owner(instance: AgentInstance) -> dict[str, Any]:
    return {
        "account_slug": instance.account.slug,
        "agent_instance": instance,
        "agent_instance_slug": instance.instance_slug,
    }
