"""Makes rows for tests, in the same contexts as the product does."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import get_hasher, make_password
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

_numbers = count(1)


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
    with tenant_context(instance.account_id):
        made: ConfigVersion = ConfigVersion.objects.create(
            account_id=instance.account_id, agent_instance=instance, **values
        )
    return made


def make_session(instance: AgentInstance | None = None, **fields: Any) -> Session:
    instance = instance or make_instance()
    values = {"session_key": f"key-{next(_numbers)}"} | fields
    with tenant_context(instance.account_id):
        made: Session = Session.objects.create(**_owner(instance), **values)
    return made


def make_llm_request(session: Session, **fields: Any) -> LLMRequest:
    values = {"provider": "scripted", "model": "echo", "completion_status": "complete"} | fields
    with tenant_context(session.account_id):
        made: LLMRequest = LLMRequest.objects.create(
            **_owner(session.agent_instance), agent_type="simple_chat", session=session, **values
        )
    return made


def make_message(session: Session, **fields: Any) -> Message:
    values = {"role": Role.HUMAN, "content": "Hello"} | fields
    with tenant_context(session.account_id):
        made: Message = Message.objects.create(
            account_id=session.account_id,
            agent_instance_id=session.agent_instance_id,
            session=session,
            **values,
        )
    return made


def make_profile(session: Session, **fields: Any) -> Profile:
    values = {"customer_name": "Ann"} | fields
    with tenant_context(session.account_id):
        made: Profile = Profile.objects.create(
            account_id=session.account_id, session=session, **values
        )
    return made


def make_membership(account: Account, user: User | None = None, **fields: Any) -> Membership:
    values = {"user": user or make_user(), "role": MemberRole.MEMBER} | fields
    with tenant_context(account.pk):
        made: Membership = Membership.objects.create(account=account, **values)
    return made


def make_invitation(account: Account, **fields: Any) -> Invitation:
    number = next(_numbers)
    values = {
        "email": f"guest{number}@example.com",
        "role": MemberRole.MEMBER,
        "token_hash": f"{number:064x}",
        "expires_at": timezone.now() + timedelta(days=7),
    }
    with tenant_context(account.pk):
        made: Invitation = Invitation.objects.create(account=account, **values | fields)
    return made


def make_limits(account: Account, **fields: Any) -> AccountLimits:
    with tenant_context(account.pk):
        made: AccountLimits = AccountLimits.objects.create(account=account, **fields)
    return made


def make_budget(account: Account, **fields: Any) -> Budget:
    values = {"period": BudgetPeriod.MONTH, "limit": 10, "period_start": timezone.now()} | fields
    with tenant_context(account.pk):
        made: Budget = Budget.objects.create(account=account, **values)
    return made


def make_rate_state(account: Account, **fields: Any) -> RateState:
    values = {"subject": f"key:{next(_numbers)}", "arrival": timezone.now()} | fields
    with tenant_context(account.pk):
        made: RateState = RateState.objects.create(account=account, **values)
    return made


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
    with platform_context():
        made: RefusalDay = RefusalDay.objects.create(account=account, **values | fields)
    return made


def make_connection(account: Account, **fields: Any) -> ProviderConnection:
    values = {"name": f"server-{next(_numbers)}", "base_url": "https://models.example/v1"} | fields
    with tenant_context(account.pk):
        made: ProviderConnection = ProviderConnection.objects.create(account=account, **values)
    return made


def make_webhook(account: Account, **fields: Any) -> WebhookEndpoint:
    """Make an endpoint whose secret is none: nothing can be sent to it."""
    values = {"url": "https://hooks.example/in", "events": [WebhookEvent.KEY_EXPIRING]} | fields
    with tenant_context(account.pk):
        made: WebhookEndpoint = WebhookEndpoint.objects.create(account=account, **values)
    return made


def make_delivery(endpoint: WebhookEndpoint, **fields: Any) -> WebhookDelivery:
    values = {"message_id": f"msg_{next(_numbers)}", "event": "key.expiring", "data": {}} | fields
    with tenant_context(endpoint.account_id):
        made: WebhookDelivery = WebhookDelivery.objects.create(
            account_id=endpoint.account_id, endpoint=endpoint, **values
        )
    return made


def make_audit_entry(account: Account | None, **fields: Any) -> AuditEntry:
    """Write an entry by hand, as what is noted is; without an account it is the platform's."""
    values = {"action": "noted", "object_type": "accounts", "object_id": str(next(_numbers))}
    with platform_context():
        made: AuditEntry = AuditEntry.objects.create(account=account, **values | fields)
    return made


def make_support_access(account: Account, user: User | None = None, **fields: Any) -> SupportAccess:
    user = user or make_user(is_staff=True)
    values = {"staff": user.email, "reason": "ticket 7"} | fields
    values.setdefault("expires_at", timezone.now() + timedelta(hours=1))
    with platform_context():
        made: SupportAccess = SupportAccess.objects.create(account=account, user=user, **values)
    return made


def make_config_draft(instance: AgentInstance, **fields: Any) -> ConfigDraft:
    values = {"text": "model: scripted:echo\n"} | fields
    with tenant_context(instance.account_id):
        made: ConfigDraft = ConfigDraft.objects.create(
            account_id=instance.account_id, agent_instance=instance, **values
        )
    return made


def make_config_publication(instance: AgentInstance, **fields: Any) -> ConfigPublication:
    values = {"number": 1, "text": "", "override": {}, "note": "Shorter answers."} | fields
    values.setdefault("config_version", make_config_version(instance))
    with tenant_context(instance.account_id):
        made: ConfigPublication = ConfigPublication.objects.create(
            account_id=instance.account_id, agent_instance=instance, **values
        )
    return made


def make_usage_day(instance: AgentInstance, **fields: Any) -> UsageDay:
    values = {
        "day": timezone.now().date(),
        "model": "scripted:echo",
        "requests": 1,
        "latency_buckets": [0] * LATENCY_BUCKETS,
    }
    with tenant_context(instance.account_id):
        made: UsageDay = UsageDay.objects.create(
            account_id=instance.account_id, agent_instance=instance, **values | fields
        )
    return made


def make_usage_total(account: Account, **fields: Any) -> UsageTotal:
    values = {"day": timezone.now().date(), "model": "", "latency_buckets": []}
    with platform_context():
        made: UsageTotal = UsageTotal.objects.create(account=account, **values | fields)
    return made


def make_prompt_section(account: Account, **fields: Any) -> PromptSection:
    values = {"digest": f"{next(_numbers):064x}", "text": "Be brief."} | fields
    with tenant_context(account.pk):
        made: PromptSection = PromptSection.objects.create(account=account, **values)
    return made


def make_event_batch(request: LLMRequest, **fields: Any) -> TurnEventBatch:
    values = {"first_number": 0, "events": ["Hello"]} | fields
    with tenant_context(request.account_id):
        made: TurnEventBatch = TurnEventBatch.objects.create(
            account_id=request.account_id, llm_request=request, **values
        )
    return made


def make_cancellation(request: LLMRequest) -> TurnCancellation:
    with tenant_context(request.account_id):
        made: TurnCancellation = TurnCancellation.objects.create(
            account_id=request.account_id, llm_request=request
        )
    return made


def make_hold(session: Session, **fields: Any) -> LegalHold:
    values = {"reason": "File 1", "actor": "olaf@platform.example"} | fields
    with platform_context():
        made: LegalHold = LegalHold.objects.create(
            account_id=session.account_id, session_id=session.pk, **values
        )
    return made


def make_retention(account: Account, **fields: Any) -> Retention:
    with platform_context():
        made: Retention = Retention.objects.create(account=account, **fields)
    return made


def make_erasure(account: Account, **fields: Any) -> Erasure:
    values = {"kind": "email", "person_hash": f"{next(_numbers):064x}", "reason": "ticket 7"}
    with tenant_context(account.pk):
        made: Erasure = Erasure.objects.create(account=account, **values | fields)
    return made


def make_feedback(message: Message, **fields: Any) -> MessageFeedback:
    values = {"rating": 1, "caller": f"key:{next(_numbers)}"} | fields
    with tenant_context(message.account_id):
        made: MessageFeedback = MessageFeedback.objects.create(
            account_id=message.account_id,
            agent_instance_id=message.agent_instance_id,
            session_id=message.session_id,
            message=message,
            **values,
        )
    return made


def make_saved_chat(instance: AgentInstance, **fields: Any) -> SavedChat:
    values = {"name": f"chat {next(_numbers)}", "messages": ["Hello"]} | fields
    with tenant_context(instance.account_id):
        made: SavedChat = SavedChat.objects.create(
            account_id=instance.account_id, agent_instance=instance, **values
        )
    return made


def make_saved_chat_run(chat: SavedChat, **fields: Any) -> SavedChatRun:
    values = {"passed": True, "answers": [], "latency_ms": 5} | fields
    with tenant_context(chat.account_id):
        made: SavedChatRun = SavedChatRun.objects.create(
            account_id=chat.account_id,
            agent_instance_id=chat.agent_instance_id,
            saved_chat=chat,
            **values,
        )
    return made


def _owner(instance: AgentInstance) -> dict[str, Any]:
    return {
        "account_id": instance.account_id,
        "account_slug": instance.account.slug,
        "agent_instance": instance,
        "agent_instance_slug": instance.instance_slug,
    }
