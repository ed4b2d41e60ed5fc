"""Erased persons in the admin: the page that erases one, and the receipts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.safestring import SafeString

from accounts.admin import registry
from accounts.admin.base import NO_STORE, Extra
from accounts.admin.formatting import badge, row_address
from accounts.admin.lists.filters import FilterForm
from accounts.admin.lists.keyset import KeysetAdmin
from accounts.admin.site import own_page
from accounts.audit.log import model_of
from accounts.audit.notes import LONGEST_REASON
from accounts.members.staff_roles import StaffRole, register_rights
from accounts.models import User
from accounts.tenancy.accounts import all_accounts
from accounts.tenancy.context import platform_context
from salient.actors import Actor, acting
from salient.formatting import count
from sessions_app.conversations.erasure.persons import LONGEST_IDENTIFIER, Person, survey
from sessions_app.conversations.erasure.service import check_reason, erase
from sessions_app.models import Erasure, IdentifierKind
from sessions_app.operations.lifecycle.receipts import is_genuine, of_person

RIGHT = "sessions_app.add_erasure"
# How long one click works; the next one goes on.
SECONDS_A_CLICK = 20.0
STATES = {True: ("complete", "ok"), False: ("not complete", "warn")}

register_rights(Erasure, StaffRole.OPERATOR, {"add"})


class PersonForm(forms.Form):
    """Who is to be erased, where, and why. It is sent by POST: no address names a person."""

    account = forms.ModelChoiceField(all_accounts(), empty_label=None)
    kind = forms.ChoiceField(label="Known by", choices=IdentifierKind.choices)
    value = forms.CharField(
        label="The person",
        max_length=LONGEST_IDENTIFIER,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="The address, the account's id of the person, or the id of a session.",
    )
    reason = forms.CharField(
        max_length=LONGEST_REASON,
        help_text="A ticket's number. The receipt keeps it, so it must not name the person.",
    )
    person: Person

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if {"account", "kind", "value"} <= data.keys():
            try:
                self.person = Person.read(data["account"].pk, data["kind"], data["value"])
            except ValidationError as error:
                self.add_error("value", error)
            else:
                self._check_reason(data.get("reason", ""))
        return data

    def _check_reason(self, reason: str) -> None:
        if reason:
            try:
                check_reason(self.person, reason)
            except ValidationError as error:
                self.add_error("reason", error)


def erase_person(request: HttpRequest) -> HttpResponseBase:
    """Show what there is of a person, then erase it: one click more than the form.

    It opens its contexts itself: the work is many transactions in the account's own.
    """
    if not request.user.has_perm(RIGHT):
        raise PermissionDenied
    with platform_context():
        form = PersonForm(request.POST or None, initial={"account": request.GET.get("account")})
        is_right = form.is_bound and form.is_valid()
    context: dict[str, Any] = {"title": "Erase a person", "form": form}
    if is_right:
        # What is erased is what was shown, whatever stands in the form by now.
        if request.POST.get("previewed") == form.person.hash:
            receipt = _erase(request, form)
            if receipt.finished_at is not None:
                return redirect(row_address(receipt))
            context |= {"receipt": receipt, "left": named(receipt.remaining)}
        found = survey(form.person)
        context |= {"found": found, "counts": named(found.counts), "previewed": form.person.hash}
    with platform_context():
        context |= admin.site.each_context(request)
        return TemplateResponse(
            request, "admin/erasure/person.html", context, headers=NO_STORE
        ).render()


def _erase(request: HttpRequest, form: PersonForm) -> Erasure:
    user = cast(User, request.user)
    with acting(Actor("staff", str(user.pk), user.email)):
        return erase(
            form.person,
            reason=form.cleaned_data["reason"],
            actor=user.email,
            seconds=SECONDS_A_CLICK,
        )


def named(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return what the tables hold, by the words of the pages, with the numbers of rows."""
    return sorted((_name_of(table), many) for table, many in counts.items())


def _name_of(table: str) -> str:
    model = model_of(table)
    return str(model._meta.verbose_name_plural if model else table).replace("_", " ")


registry.own_pages.append(path("erase-person/", own_page(erase_person), name="erase-person"))


class ErasureFilter(FilterForm):
    """By account, what the person was known by, and time; and by a whole reason or who erased."""

    choices = ("kind",)
    choice_names: ClassVar[Mapping[str, str]] = {
        "email": "e-mail address",
        "end_user": "end user",
        "session": "visitor",
    }
    search_label = "reason, or who erased"

    def search(self, text: str) -> Q:
        return Q(reason=text) | Q(actor=text)


@admin.register(Erasure)
class ErasureAdmin(KeysetAdmin[Erasure]):
    """Receipts: what was erased, by whom, and what is left."""

    menu_group, menu_place = "Conversations", 7
    nothing_yet = "No person's texts were erased."
    filter_form = ErasureFilter
    change_list_template = "admin/erasure/list.html"
    detail_template = "admin/erasure/receipt.html"
    list_display = ["created_at", "state", "account", "known_by", "rows", "reason", "actor"]
    list_numbers = ("rows",)
    list_select_related = ["account"]

    def changelist_view(self, request: HttpRequest, extra_context: Extra = None) -> Any:
        context = {"may_erase": request.user.has_perm(RIGHT)} | (extra_context or {})
        return super().changelist_view(request, context)

    def detail_rows(self, request: HttpRequest) -> QuerySet[Erasure]:
        return self.get_queryset(request).select_related("account")

    def detail(self, request: HttpRequest, row: Erasure) -> dict[str, Any]:
        return {
            "title": "Erased person",
            "subtitle": str(row),
            "receipt": row,
            "is_genuine": is_genuine(of_person(row), row.signature),
            "parts": [
                ("Erased", named(row.erased)),
                ("Named in other texts, and replaced there", named(row.masked)),
                ("Left", named(row.remaining)),
                ("Named in what is kept", named(row.kept)),
            ],
        }

    @admin.display(description="state")
    def state(self, erasure: Erasure) -> SafeString:
        return badge(*STATES[erasure.finished_at is not None])

    @admin.display(description="known by")
    def known_by(self, erasure: Erasure) -> str:
        return ErasureFilter.choice_names[erasure.kind]

    @admin.display(description="rows")
    def rows(self, erasure: Erasure) -> str:
        return count(sum(erasure.erased.values()))
