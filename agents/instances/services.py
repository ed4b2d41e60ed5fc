"""Agent instances: found, listed and made; their visitors' tokens are issued here."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import FETCH_RAISE, Count, Max, QuerySet

from accounts.auth import visitor_tokens
from accounts.auth.caller import Caller, CallerKind
from accounts.models import Account
from accounts.models.slugs import is_slug, title_of
from accounts.tenancy.context import tenant_context
from accounts.tenancy.lookups import find_active_account
from agents.api.schemas import VisitorIn
from agents.models import AgentInstance
from salient.api.problems import Forbidden

# What an end user's token may do, it may do as that person: it is short-lived.
END_USER_SECONDS = 15 * 60


def active_instances(account_id: UUID, only: Collection[UUID] = ()) -> list[AgentInstance]:
    """List the active instances by slug; of `only` those, unless it is empty."""
    with tenant_context(account_id):
        instances = AgentInstance.objects.serving().order_by("instance_slug")
        return list(instances.filter(pk__in=only) if only else instances)


def slugs_of(account_ids: Collection[UUID], *, only_active: bool = False) -> dict[UUID, str]:
    """Return the slugs of these accounts' instances by their ids; in a context."""
    instances = AgentInstance.objects.filter(account_id__in=account_ids)
    instances = instances.active() if only_active else instances
    return dict(instances.values_list("pk", "instance_slug"))


def names_of(account_ids: Collection[UUID]) -> QuerySet[AgentInstance, tuple[UUID, str]]:
    """Return the account and the slug of each of these accounts' instances; in a context."""
    instances = AgentInstance.objects.filter(account_id__in=account_ids)
    return instances.values_list("account_id", "instance_slug")


def find_instance(account_id: UUID, slug: str) -> AgentInstance | None:
    """Return the account's instance, whatever its status; in a context."""
    rows = AgentInstance.objects.filter(account_id=account_id)
    return rows.filter(instance_slug=slug).first()


def find_active_instance(account_id: UUID, slug: str) -> AgentInstance | None:
    """Return the account's active instance, which reads nothing more by itself; in a context."""
    rows = AgentInstance.objects.active().filter(account_id=account_id)
    return rows.fetch_mode(FETCH_RAISE).filter(instance_slug=slug).first()


def active_instance(account_slug: str, slug: str) -> AgentInstance | None:
    """Return the instance, with its account, when both are active."""
    account = find_active_account(account_slug) if is_slug(slug) else None
    if account is None:
        return None
    with tenant_context(account.pk):
        found = find_active_instance(account.pk, slug)
    if found is not None:
        found.account = account
    return found


def instance_with_account(instance_id: UUID) -> AgentInstance | None:
    """Return the instance whatever its status, for staff; inside the platform context."""
    return AgentInstance.objects.select_related("account").filter(pk=instance_id).first()


def instances_with_accounts() -> QuerySet[AgentInstance]:
    """Return all instances by their accounts' slugs and their own; inside the platform context."""
    rows = AgentInstance.objects.select_related("account")
    return rows.order_by("account__slug", "instance_slug")


def instances_of(account_id: UUID) -> QuerySet[AgentInstance]:
    """Return the account's instances by their slugs; inside a tenant or platform context."""
    return AgentInstance.objects.filter(account_id=account_id).order_by("instance_slug")


def use_of_accounts(account_ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """Return each account's number of `instances`, and when one was `last_used_at`.

    One query; accounts without instances are left out. Inside the platform context.
    """
    rows = AgentInstance.objects.filter(account_id__in=account_ids).order_by()
    counted = rows.values_list("account_id").annotate(Count("pk"), Max("last_used_at"))
    return {
        account_id: {"instances": instances, "last_used_at": last}
        for account_id, instances, last in counted
    }


def create_instance(
    account: Account, slug: str, *, display_name: str = "", agent_type: str = "simple_chat"
) -> AgentInstance:
    """Make an instance; raises ValidationError for a bad or taken slug."""
    instance = AgentInstance(
        account=account,
        instance_slug=slug,
        agent_type=agent_type,
        display_name=display_name or title_of(slug),
    )
    with tenant_context(account.pk):
        instance.full_clean()
        instance.save(force_insert=True)
    return instance


def start_visitor(
    caller: Caller, instance_id: UUID, wanted: VisitorIn, *, visitor: str | None = None
) -> visitor_tokens.VisitorToken:
    """Mint a visitor's token for one instance, new unless `visitor` is given; nothing is stored.

    A publishable key starts anonymous visitors of its own page alone: whatever it may choose, every
    reader of the page's source may. Raises Forbidden.
    """
    if caller.api_key_id is None:
        raise Forbidden("Only an API key starts visitors.")
    origin = wanted.origin
    if caller.kind == CallerKind.PUBLISHABLE_KEY:
        if wanted.model_fields_set:
            raise Forbidden("Only a secret key names an end user, an origin or a time.")
        origin = caller.origin
    default_seconds = settings.VISITOR_TOKEN_SECONDS if wanted.sub is None else END_USER_SECONDS
    return visitor_tokens.new_token(
        caller.key_id,
        instance_id,
        seconds=wanted.expires_in or default_seconds,
        origin=origin,
        end_user=wanted.sub,
        visitor=visitor,
    )
