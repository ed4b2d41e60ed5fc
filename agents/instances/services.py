"""The verbs of agents: list and make instances."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.conf import settings

from accounts.auth import visitor_tokens
from accounts.auth.caller import Caller, CallerKind
from accounts.models import Account, AccountStatus
from accounts.models.slugs import is_slug, title_of
from accounts.tenancy.context import tenant_context
from accounts.tenancy.lookups import find_account
from agents.api.schemas import VisitorIn
from agents.models import AgentInstance
from salient.api.problems import Forbidden

# What an end user's token may do, it may do as that person: it is short-lived.
END_USER_SECONDS = 15 * 60


def active_instances(account_id: UUID, only: Collection[UUID] = ()) -> list[AgentInstance]:
    """List the active instances; of `only` those, unless it is empty."""
    with tenant_context(account_id):
        instances = AgentInstance.objects.active().order_by("instance_slug")
        return list(instances.filter(pk__in=only) if only else instances)


def active_instance(account_slug: str, slug: str) -> AgentInstance | None:
    """Return the instance, with its account, when both are active."""
    account = find_account(account_slug)
    if not is_slug(slug) or account is None or account.status != AccountStatus.ACTIVE:
        return None
    with tenant_context(account.pk):
        found: AgentInstance | None = (
            AgentInstance.objects.active().filter(instance_slug=slug).first()
        )
    if found is not None:
        found.account = account
    return found


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
    caller: Caller, instance_id: UUID, wanted: VisitorIn
) -> visitor_tokens.VisitorToken:
    """Mint a visitor's token for one instance; nothing is stored.

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
    )
