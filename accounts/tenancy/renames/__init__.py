"""Renames an account; its old URLs lead to the new ones for a while."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, Model, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Account, AccountStatus, AuditAction, AuditEntry, FormerSlug
from accounts.models.slugs import is_slug, validate_slug
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.locks import lock_conversations
from salient.api.problems import Invalid, Problem
from salient.ttl import forget_rows

# For so long old URLs answer 308, and nobody else gets the slug.
KEPT = timedelta(days=90)
# One account cannot take the slugs of many: so many lead to it at once.
MOST_FORMER = 20
# Each rename writes all conversations of the account or agent anew: so many within so long.
MOST_RENAMES, RENAMES_WITHIN = 6, timedelta(hours=1)
# The conversations' rows hold the slug, too: a large account takes a while.
RENAME_SECONDS = 600


class SlugTaken(Problem):
    """The slug belongs to another one, or still redirects to one that had it before."""

    status = HTTPStatus.CONFLICT
    code = "slug_taken"

    def __init__(self, slug: str) -> None:
        super().__init__(f"“{slug}” is taken, or was until lately and still leads elsewhere.")


# Gets the account, still with its old slug, and the new one; returns its new `config_folder`.
type KeepFiles = Callable[[Account, str], str]
_keep_files: list[KeepFiles] = []


def register_files(keep: KeepFiles) -> None:
    """Have an account's files kept by this function when the account is renamed.

    `accounts` knows nothing of the files that configure agents.
    """
    if keep not in _keep_files:
        _keep_files.append(keep)


def check_slug(slug: str) -> None:
    """Raise Invalid where it cannot be a slug."""
    try:
        validate_slug(slug)
    except ValidationError as error:
        raise Invalid.field("slug", " ".join(error.messages)) from error


def rename_account(account_id: UUID, slug: str, *, kept: timedelta = KEPT) -> Account:
    """Give the account another slug; inside the platform context.

    The slugs in its conversations follow, keys and tokens go on, and the old slug leads to the new
    one for the time `kept`. It may be one that the account had before. Raises SlugTaken, and
    Invalid also where MOST_FORMER slugs lead to the account already, or it was renamed
    MOST_RENAMES times lately.
    """
    check_slug(slug)
    allow_long_statements()
    lock_conversations(account_id, agent_slugs(account_id))
    account = Account.objects.select_for_update().get(pk=account_id)
    if account.slug == slug:
        return account
    _require_few(account, slug)
    require_rest(account_id, account, "slug")
    former = account.slug
    account.config_folder = next((keep(account, slug) for keep in _keep_files), "")
    account.slug = slug
    try:
        with transaction.atomic():
            FormerSlug.objects.filter(account_id=account_id, slug__in=[slug, former]).delete()
            if kept:
                FormerSlug.objects.create(
                    account_id=account_id, slug=former, expires_at=timezone.now() + kept
                )
            account.save(update_fields=["slug", "config_folder", "updated_at"])
    except IntegrityError as error:
        raise SlugTaken(slug) from error
    transaction.on_commit(forget_rows)
    return account


def _require_few(account: Account, slug: str) -> None:
    former = FormerSlug.objects.filter(account_id=account.pk, expires_at__gt=Now())
    if former.exclude(slug=slug).count() >= MOST_FORMER:
        raise Invalid.field("slug", f"{MOST_FORMER} former slugs lead here: that is the most")


def require_rest(account_id: UUID, row: Model, field: str) -> None:
    """Raise Invalid where the slug of an account, or of its row, was changed too often lately.

    By the audit log.
    """
    lately = AuditEntry.objects.filter(
        account_id=account_id,
        action=AuditAction.CHANGED,
        object_type=row._meta.db_table,
        object_id=str(row.pk),
        created_at__gt=Now() - RENAMES_WITHIN,
    )
    if lately.filter(changes__has_key=field).count() >= MOST_RENAMES:
        raise Invalid.field(field, f"renamed {MOST_RENAMES} times within the last hour: wait")


def allow_long_statements() -> None:
    """Let the statements of this transaction take longer than those of a request."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true)", [f"{RENAME_SECONDS * 1000}"]
        )


def change_account(
    account_id: UUID, *, slug: str | None = None, name: str | None = None
) -> Account:
    """Rename the account, change how people call it, or both; opens the platform context."""
    with platform_context():
        if slug is not None:
            # Before the name's change locks the account.
            lock_conversations(account_id, agent_slugs(account_id))
        if name is not None:
            Account.objects.filter(pk=account_id).update(name=name, updated_at=Now())
        if slug is not None:
            rename_account(account_id, slug)
        return Account.objects.get(pk=account_id)


def former_slugs_of(account_id: UUID) -> list[FormerSlug]:
    """Return the slugs that still lead to the account, the newest first; in a context."""
    rows = FormerSlug.objects.filter(account_id=account_id, expires_at__gt=Now())
    return list(rows.order_by("-created_at", "slug"))


def release_slug(account_id: UUID, slug: str) -> bool:
    """Let another account have the slug, whose old URLs are 404 from now on; in a context."""
    return bool(FormerSlug.objects.filter(account_id=account_id, slug=slug).delete()[0])


def name_now(account_id: UUID, slug: str) -> str | None:
    """Return the account's slug of today if `slug` is it, or was it until lately; else None."""
    with tenant_context(account_id):
        return _led_to(Q(pk=account_id), slug)


def led_to(slug: str) -> str | None:
    """Return the slug of the account that had this one until lately."""
    with platform_context():
        return _led_to(Q(), slug)


def _led_to(whose: Q, slug: str) -> str | None:
    if not is_slug(slug):
        return None
    former = FormerSlug.objects.filter(account_id=OuterRef("pk"), slug=slug, expires_at__gt=Now())
    accounts = Account.objects.filter(whose).exclude(status=AccountStatus.DELETED)
    found: str | None = (
        accounts.filter(Q(slug=slug) | Exists(former)).values_list("slug", flat=True).first()
    )
    return found


def forget_expired_slugs() -> int:
    """Delete the slugs that lead nowhere any more; return how many they were."""
    with platform_context():
        return FormerSlug.objects.filter(expires_at__lte=Now()).delete()[0]
