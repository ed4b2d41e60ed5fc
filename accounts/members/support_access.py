"""Support access: how staff and auditors come to read an account's texts, with a reason.

It holds for superusers too. Everything here runs inside the platform context.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.audit.notes import LONGEST_REASON, clean_reason, note
from accounts.models import (
    Account,
    ActorKind,
    ApiKey,
    AuditAction,
    AuditEntry,
    SupportAccess,
    User,
)
from salient.actors import Actor, set_transaction_actor

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

DEFAULT_MINUTES, MOST_MINUTES = 60, 8 * 60

type Person = User | AnonymousUser


def may_open(user: Person) -> bool:
    """Return whether the person may open an access; auditors may, as they see everything."""
    if not isinstance(user, User) or not user.is_active or not user.is_staff:
        return False
    return user.is_auditor or user.has_perm("accounts.add_supportaccess")


def open_access(
    user: User, account: Account, *, reason: str, minutes: int = DEFAULT_MINUTES
) -> SupportAccess:
    """Let the person read the account's texts for so many minutes; raises ValidationError.

    An earlier access of theirs ends, with the keys that they were shown under it. The database
    writes both into the account's audit log.
    """
    reason = clean_reason(reason, missing="Say why you need to read this account's texts.")
    if not 1 <= minutes <= MOST_MINUTES:
        raise ValidationError(f"An access lasts from 1 to {MOST_MINUTES} minutes.")
    now = timezone.now()
    _end(_open_of(user, account.pk))
    return SupportAccess.objects.create(
        account=account,
        user=user,
        staff=user.email,
        reason=reason,
        expires_at=now + timedelta(minutes=minutes),
    )


def end_access(access: SupportAccess) -> None:
    """End an access that is open, with the keys that were shown under it."""
    _end(SupportAccess.objects.open().filter(pk=access.pk))


def end_all(user: User) -> None:
    """End every access of a person who leaves."""
    _end(SupportAccess.objects.open().filter(user=user))


def end_of_who_may_not() -> None:
    """End every access of people who have lost the right to it."""
    opened = SupportAccess.objects.open().values("user_id")
    lost = [user.pk for user in User.objects.filter(pk__in=opened) if not may_open(user)]
    _end(SupportAccess.objects.open().filter(user_id__in=lost))


def _end(accesses: Any) -> None:
    ended, now = list(accesses.values_list("pk", flat=True)), timezone.now()
    accesses.filter(pk__in=ended).update(ended_at=now)
    shown = ApiKey.objects.filter(support_access_id__in=ended, revoked_at=None)
    shown.update(revoked_at=now)


def state_of(access: SupportAccess) -> str:
    if access.ended_at is not None:
        return "ended"
    return "open" if access.expires_at > timezone.now() else "over"


def current_access(user: Person, account_id: UUID) -> SupportAccess | None:
    """Return the access that the person has to the account's texts now."""
    if not isinstance(user, User) or not may_open(user):
        return None
    found: SupportAccess | None = _open_of(user, account_id).order_by("-expires_at").first()
    return found


def open_accounts(user: Person) -> set[UUID]:
    """Return the accounts whose texts the person may read now."""
    if not isinstance(user, User) or not may_open(user):
        return set()
    mine = SupportAccess.objects.open().filter(user=user)
    return set(mine.values_list("account_id", flat=True))


def act_under(access: SupportAccess) -> None:
    """Put the access's reason into the log entries of the rest of this request."""
    set_transaction_actor(_actor_under(access))


def _actor_under(access: SupportAccess) -> Actor:
    return Actor("staff", str(access.user_id), access.staff, access.reason)


def note_reading(
    access: SupportAccess, object_type: str, object_id: object, label: str = ""
) -> None:
    """Write into the account's audit log what is read, once for each object and access.

    `object_type` is the table's name, such as "sessions".
    """
    noted = AuditEntry.objects.filter(
        account_id=access.account_id,
        actor_kind=ActorKind.STAFF,
        actor_id=str(access.user_id),
        action=AuditAction.NOTED,
        object_type=object_type,
        object_id=str(object_id),
        created_at__gte=access.created_at,
    )
    if not noted.exists():
        note(
            access.account_id,
            object_type,
            label,
            object_id=str(object_id),
            changes={"support_access": [None, str(access.pk)]},
            actor=_actor_under(access),
        )


def require_texts(
    request: HttpRequest,
    account_id: UUID,
    *,
    object_type: str = "",
    object_id: object = "",
    label: str = "",
) -> HttpResponse | None:
    """Return nothing when the person may read the account's texts, else the page for the reason.

    Name the object that is about to be shown, and the audit log notes that it was read:

        if (page := require_texts(request, session.account_id,
                                  object_type="sessions", object_id=session.pk)) is not None:
            return page
    """
    access = current_access(request.user, account_id)
    if access is None:
        return reason_page(request, account_id)
    if object_type:
        note_reading(access, object_type, object_id, label)
    return None


def require_access(
    request: HttpRequest, account_id: UUID, *, back: str, explanation: str
) -> HttpResponse | None:
    """Return None under an access, whose reason the audit log then shows, else the page for one.

    That page leads `back`; `explanation` says what needs an access.
    """
    access = current_access(request.user, account_id)
    if access is None:
        return reason_page(request, account_id, back=back, explanation=explanation)
    act_under(access)
    return None


class ReasonForm(forms.Form):
    """The reason and the time; `next` is the page with the texts."""

    account = forms.ModelChoiceField(Account.objects.all(), widget=forms.HiddenInput)
    next = forms.CharField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3, "maxlength": LONGEST_REASON}),
        help_text="The account reads it in its audit log: a ticket's number, what you look for.",
    )
    minutes = forms.TypedChoiceField(
        label="For how long",
        coerce=int,
        choices=[(15, "15 minutes"), (60, "1 hour"), (240, "4 hours"), (480, "8 hours")],
        initial=DEFAULT_MINUTES,
    )


def inline_form(request: HttpRequest, account: Account) -> ReasonForm | None:
    """Return the form that is shown in place of the texts; None for those who may not open one."""
    if not may_open(request.user):
        return None
    back = request.get_full_path() if request.method == "GET" else request.path
    return ReasonForm(initial={"account": account, "next": back})


def reason_page(
    request: HttpRequest,
    account_id: UUID,
    form: ReasonForm | None = None,
    *,
    back: str = "",
    explanation: str = "",
    instead: str = "",
) -> HttpResponse:
    """Return the page that asks for the reason, in place of the texts.

    `explanation` says what needs it, `back` is the page to return to, `instead` the address of a
    better way. The status is 200, because a browser reports a 403 as an error.
    """
    account = get_object_or_404(Account, pk=account_id)
    if form is None:
        back = back or (request.get_full_path() if request.method == "GET" else "")
        form = ReasonForm(initial={"account": account, "next": back})
    context = {
        **admin.site.each_context(request),
        "title": f"{'Support access to' if explanation else 'Read the texts of'} {account.name}",
        "account": account,
        "explanation": explanation,
        "instead": instead,
        "form": form if may_open(request.user) else None,
    }
    return TemplateResponse(
        request, "admin/support/reason.html", context, headers={"Cache-Control": "no-store"}
    )


def _open_of(user: User, account_id: UUID) -> Any:
    return SupportAccess.objects.open().filter(user=user, account_id=account_id)
