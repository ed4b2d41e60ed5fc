"""Rows for tests, made through the same doors as everywhere."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from django.utils import timezone

from accounts.models import (
    Account,
    AccountLimits,
    ApiKey,
    Budget,
    BudgetPeriod,
    Invitation,
    MemberRole,
    Membership,
    RateState,
    User,
)
from accounts.services import create_account, issue_api_key
from accounts.tenancy import tenant
from agents.models import AgentInstance, ConfigVersion, ProviderConnection
from agents.services import create_instance
from sessions_app.models import LLMRequest, Message, Profile, Role, Session

_numbers = count(1)


def make_account(slug: str = "", **fields: Any) -> Account:
    account = create_account(slug or f"account-{next(_numbers)}")
    if fields:
        Account.objects.filter(pk=account.pk).update(**fields)
        account.refresh_from_db()
    return account


def make_instance(account: Account | None = None, slug: str = "") -> AgentInstance:
    return create_instance(account or make_account(), slug or f"agent-{next(_numbers)}")


def make_key(account: Account, **fields: Any) -> tuple[ApiKey, str]:
    return issue_api_key(account, **{"name": "tests", **fields})


def make_user(email: str = "", **fields: Any) -> User:
    return User.objects.create_user(email or f"user{next(_numbers)}@example.com", **fields)


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
    with tenant(instance.account_id):
        made: ConfigVersion = ConfigVersion.objects.create(
            account_id=instance.account_id, agent_instance=instance, **values
        )
    return made


def make_session(instance: AgentInstance | None = None, **fields: Any) -> Session:
    instance = instance or make_instance()
    values = {"session_key": f"key-{next(_numbers)}"} | fields
    with tenant(instance.account_id):
        made: Session = Session.objects.create(**_owner(instance), **values)
    return made


def make_llm_request(session: Session, **fields: Any) -> LLMRequest:
    values = {"provider": "scripted", "model": "echo", "completion_status": "complete"} | fields
    with tenant(session.account_id):
        made: LLMRequest = LLMRequest.objects.create(
            **_owner(session.agent_instance), agent_type="simple_chat", session=session, **values
        )
    return made


def make_message(session: Session, **fields: Any) -> Message:
    values = {"role": Role.HUMAN, "content": "Hello"} | fields
    with tenant(session.account_id):
        made: Message = Message.objects.create(
            account_id=session.account_id,
            agent_instance_id=session.agent_instance_id,
            session=session,
            **values,
        )
    return made


def make_profile(session: Session, **fields: Any) -> Profile:
    values = {"customer_name": "Ann"} | fields
    with tenant(session.account_id):
        made: Profile = Profile.objects.create(
            account_id=session.account_id, session=session, **values
        )
    return made


def make_membership(account: Account, user: User | None = None, **fields: Any) -> Membership:
    values = {"user": user or make_user(), "role": MemberRole.MEMBER} | fields
    with tenant(account.pk):
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
    with tenant(account.pk):
        made: Invitation = Invitation.objects.create(account=account, **values | fields)
    return made


def make_limits(account: Account, **fields: Any) -> AccountLimits:
    with tenant(account.pk):
        made: AccountLimits = AccountLimits.objects.create(account=account, **fields)
    return made


def make_budget(account: Account, **fields: Any) -> Budget:
    values = {"period": BudgetPeriod.MONTH, "limit": 10, "period_start": timezone.now()} | fields
    with tenant(account.pk):
        made: Budget = Budget.objects.create(account=account, **values)
    return made


def make_rate_state(account: Account, **fields: Any) -> RateState:
    values = {"subject": f"key:{next(_numbers)}", "arrival": timezone.now()} | fields
    with tenant(account.pk):
        made: RateState = RateState.objects.create(account=account, **values)
    return made


def make_connection(account: Account, **fields: Any) -> ProviderConnection:
    values = {"name": f"server-{next(_numbers)}", "base_url": "https://models.example/v1"} | fields
    with tenant(account.pk):
        made: ProviderConnection = ProviderConnection.objects.create(account=account, **values)
    return made


def _owner(instance: AgentInstance) -> dict[str, Any]:
    return {
        "account_id": instance.account_id,
        "account_slug": instance.account.slug,
        "agent_instance": instance,
        "agent_instance_slug": instance.instance_slug,
    }
