"""The lifecycle of an account's data in the admin: retention, legal holds, archive, erasure."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.safestring import SafeString

from accounts.admin import registry
from accounts.admin.base import NO_STORE, RecordAdmin
from accounts.admin.formatting import badge
from accounts.admin.site import own_page
from accounts.audit.notes import LONGEST_REASON
from accounts.models import Account, AccountStatus, User
from accounts.tenancy.accounts import account_by_id
from accounts.tenancy.context import platform_context
from agents.instances.services import instances_of
from agents.models import AgentInstance
from salient.actors import Actor, acting
from salient.ids import parse_uuid
from sessions_app.admin.erasures import named
from sessions_app.admin.lifecycle_export import download
from sessions_app.models import AccountErasure
from sessions_app.models.lifecycle import FEWEST_DAYS_OF_FIGURES
from sessions_app.operations.lifecycle import accounts, holds, retention
from sessions_app.operations.lifecycle.receipts import is_genuine, of_account

RIGHT = "accounts.change_account"
# Nobody but the platform's owners has it, unless they give it to somebody.
ERASE = "sessions_app.add_accounterasure"


class DaysForm(forms.Form):
    """After how many days what ends; empty: never."""

    texts = forms.IntegerField(
        label="Days of texts",
        required=False,
        min_value=1,
        help_text="After a conversation's last message. Empty: for ever.",
    )
    figures = forms.IntegerField(
        label="Days of figures",
        required=False,
        min_value=FEWEST_DAYS_OF_FIGURES,
        help_text="Tokens, costs and counts of conversations without texts. Empty: for ever.",
    )


class HoldForm(forms.Form):
    """What is held, and why."""

    agent = forms.ModelChoiceField[AgentInstance](
        None, required=False, empty_label="the whole account"
    )
    session = forms.UUIDField(required=False, help_text="The id of one conversation, instead.")
    reason = forms.CharField(max_length=LONGEST_REASON, help_text="A file number.")

    def __init__(self, account: Account, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast("forms.ModelChoiceField[AgentInstance]", self.fields["agent"])
        field.queryset = instances_of(account.pk)


class EraseForm(forms.Form):
    """The reason, and the slug once more."""

    slug = forms.CharField(label="Type the account's slug")
    reason = forms.CharField(max_length=LONGEST_REASON, help_text="A ticket's number.")

    def __init__(self, account: Account, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        if slug != self.account.slug:
            raise ValidationError("This is not the account's slug.")
        return slug


def lifecycle(request: HttpRequest, account_id: UUID) -> HttpResponseBase:
    """Show what ends when, what is held, and how an erasure goes; change it by POST.

    It opens its contexts itself: an erasure is ordered in several.
    """
    reads = request.method in {"GET", "HEAD"}
    if not request.user.has_perm("accounts.view_account" if reads else RIGHT):
        raise PermissionDenied
    with platform_context():
        account = account_by_id(str(account_id))
    if account is None:
        raise Http404("There is no such account.")
    user = cast(User, request.user)
    if request.POST.get("do") == "export":
        return download(request, account, user)
    with acting(Actor("staff", str(user.pk), user.email)):
        forms_ = None if reads else _changed(request, account, user)
    if forms_ is not None and not forms_:
        return redirect("admin:account-lifecycle", account.pk)
    with platform_context():
        context = _context(request, account) | (forms_ or {})
        context |= admin.site.each_context(request)
        return TemplateResponse(
            request, "admin/lifecycle/account.html", context, headers=NO_STORE
        ).render()


def _context(request: HttpRequest, account: Account) -> dict[str, Any]:
    rule = retention.retention_of(account.pk)
    days = {"texts": rule.texts_days, "figures": rule.figures_days} if rule else {}
    return {
        "title": f"Lifecycle of {account.name}",
        "account": account,
        "may_change": request.user.has_perm(RIGHT),
        "may_erase": request.user.has_perm(ERASE),
        "is_archived": account.status == AccountStatus.DELETED,
        "rule": rule,
        "holds": list(holds.holds_of(account.pk)),
        "erasure": accounts.erasure_of(account.pk),
        "days_form": DaysForm(initial=days),
        "hold_form": HoldForm(account),
        "erase_form": EraseForm(account),
    }


def _changed(request: HttpRequest, account: Account, user: User) -> dict[str, Any]:
    """Do what the form asks for; return the form with its errors, or nothing."""
    wanted = request.POST.get("do", "")
    if wanted == "release":
        return _release(request, account, user)
    if wanted == "hold":
        return _hold(request, account, user)
    if wanted == "erase":
        return _erase(request, account, user)
    if wanted == "days":
        return _set_days(request, account)
    # Without its fields the first form means “for ever”: nothing is done that was not asked for.
    messages.warning(request, "Nothing was changed: this page has no such form.")
    return {}


def _set_days(request: HttpRequest, account: Account) -> dict[str, Any]:
    form = DaysForm(request.POST)
    if form.is_valid():
        try:
            with platform_context():
                retention.set_days(account.pk, **form.cleaned_data)
        except ValidationError:
            form.add_error("figures", "Figures are kept as long as texts, or longer.")
        else:
            messages.success(request, "The worker erases every hour what is due.")
            return {}
    return {"days_form": form}


def _hold(request: HttpRequest, account: Account, user: User) -> dict[str, Any]:
    def placing() -> HoldForm:
        with platform_context():
            form = HoldForm(account, request.POST)
            if not form.is_valid():
                return form
            data = form.cleaned_data
            try:
                holds.place(
                    account.pk,
                    reason=data["reason"],
                    actor=user.email,
                    agent=None if data["session"] else data["agent"],
                    session_id=data["session"],
                )
            except ValidationError as error:
                form.add_error("session", error)
        return form

    try:
        form = holds.when_free(placing)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return {}
    if form.errors:
        return {"hold_form": form}
    messages.success(request, "Nothing of it is erased until the hold is released.")
    return {}


def _release(request: HttpRequest, account: Account, user: User) -> dict[str, Any]:
    wanted = parse_uuid(request.POST.get("hold", ""))
    with platform_context():
        for hold in holds.holds_of(account.pk):
            if hold.pk == wanted and holds.release(hold, actor=user.email):
                messages.success(request, "The hold is released.")
                return {}
    messages.warning(request, "There is no such hold any more.")
    return {}


def _erase(request: HttpRequest, account: Account, user: User) -> dict[str, Any]:
    if not user.has_perm(ERASE):
        raise PermissionDenied
    form = EraseForm(account, request.POST)
    if form.is_valid():
        try:
            accounts.begin(account, reason=form.cleaned_data["reason"], actor=user.email)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, "The worker begins within a minute.")
            return {}
    return {"erase_form": form}


registry.own_pages.append(
    path("lifecycle/<uuid:account_id>/", own_page(lifecycle), name="account-lifecycle")
)


@admin.register(AccountErasure)
class AccountErasureAdmin(RecordAdmin[AccountErasure]):
    """Receipts of erased accounts, and how those go that are not finished."""

    menu_group, menu_place = "Tenants", 12
    nothing_yet = "No account was erased."
    operator_may = frozenset({"view"})
    detail_template = "admin/lifecycle/receipt.html"
    list_display = ["created_at", "slug", "state", "step", "reason", "actor"]
    search_fields = ["slug", "reason"]
    search_help_text = "A part of a slug or of a reason."

    def detail(self, request: HttpRequest, row: AccountErasure) -> dict[str, Any]:
        return {
            "title": f"Erased account {row.slug}",
            "receipt": row,
            "is_genuine": bool(row.signature) and is_genuine(of_account(row), row.signature),
            "parts": [("Rows", named(row.rows)), ("Left", named(row.remaining))],
        }

    @admin.display(description="state")
    def state(self, erasure: AccountErasure) -> SafeString:
        is_done = erasure.finished_at is not None
        return badge("complete" if is_done else "not complete", "ok" if is_done else "warn")
