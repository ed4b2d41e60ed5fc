"""The staff's page "Why would this call be refused?": a call is described, every check answers."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.urls import path

from accounts.admin.auditors import reading_auditors
from accounts.admin.site import SalientAdminSite
from accounts.auth.explain import first_refusal
from accounts.limits.registry import MAX_MESSAGE_BYTES
from accounts.models import Account, ApiKey, Membership
from accounts.tenancy.context import platform_context
from agents.models import AgentInstance
from salient.ids import parse_uuid
from sessions_app.turns.explain import Call, examine

USUAL_BYTES = 100
RIGHTS = ("accounts.view_account", "accounts.view_apikey", "agents.view_agentinstance")


class CallForm(forms.Form):
    """The call: by whom, to which agent, from where, with how long a message."""

    account = forms.ModelChoiceField(Account.objects.all(), widget=forms.HiddenInput)
    instance: forms.ModelChoiceField[AgentInstance] = forms.ModelChoiceField(
        None, label="Agent", empty_label=None
    )
    caller = forms.ChoiceField(help_text="A key or a member of the account.")
    address = forms.CharField(
        required=False, max_length=45, help_text="The caller's IP address, if it matters."
    )
    origin = forms.CharField(
        required=False,
        max_length=255,
        help_text="For publishable keys: the page's origin, https://shop.example",
    )
    size = forms.IntegerField(
        label="Message's bytes",
        required=False,
        min_value=1,
        max_value=MAX_MESSAGE_BYTES,
        initial=USUAL_BYTES,
    )

    def __init__(self, account: Account, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.whose = account
        mine = AgentInstance.objects.filter(account=account).order_by("instance_slug")
        self.fields["instance"].queryset = mine  # type: ignore[attr-defined]
        self.fields["caller"].choices = [  # type: ignore[attr-defined]
            ("Keys", [(f"key:{key.pk}", str(key)) for key in account.api_keys.all()]),
            ("Members", [(f"member:{m.pk}", f"{m.user.email} ({m.role})") for m in self._people()]),
        ]

    def _people(self) -> Any:
        return Membership.objects.filter(account=self.whose).select_related("user")

    def clean_address(self) -> Any:
        text = self.cleaned_data["address"].strip()
        try:
            return ip_address(text) if text else None
        except ValueError as error:
            raise ValidationError("This is no IP address.") from error

    def call(self) -> Call:
        """Return the call that is described; inside the platform's door."""
        asked = self.cleaned_data
        kind, _, key = asked["caller"].partition(":")
        instance = asked["instance"]
        instance.account = self.whose
        keys = ApiKey.objects.select_related("account")
        return Call(
            instance,
            key=keys.get(pk=UUID(key)) if kind == "key" else None,
            member=self._people().get(pk=UUID(key)) if kind == "member" else None,
            address=asked["address"],
            origin=asked["origin"] or None,
            message="x" * (asked["size"] or USUAL_BYTES),
        )


def why_refused(request: HttpRequest) -> HttpResponse:
    """Describe a call and see each check; reading only, so its address can be sent on.

    Not inside the platform's door as a whole: the call is tried inside its own account's.
    """
    if not request.user.has_perms(RIGHTS):
        raise PermissionDenied
    if request.method not in {"GET", "HEAD"}:
        return HttpResponseNotAllowed(["GET", "HEAD"])
    with platform_context():
        form = _form(request)
        call = form.call() if form is not None and form.is_bound and form.is_valid() else None
    checks = [] if call is None else examine(call)
    with platform_context():
        context = {
            **admin.site.each_context(request),
            "title": "Why would this call be refused?",
            "form": form,
            "account": form.whose if form else None,
            "accounts": [] if form else list(Account.objects.all()),
            "call": call,
            "checks": checks,
            "refused": first_refusal(checks),
        }
        return render(request, "admin/why_refused.html", context)


def _form(request: HttpRequest) -> CallForm | None:
    """Return the form of the chosen account; bound once agent and caller are chosen."""
    query = request.GET.copy()
    account = _account(query.get("account", ""))
    if account is None:
        return None
    if key := query.get("key"):
        query["caller"] = f"key:{key}"
    if "caller" in query and "instance" in query:
        return CallForm(account, query)
    return CallForm(account, initial={"size": USUAL_BYTES, **query.dict()})


def _account(text: str) -> Account | None:
    account_id = parse_uuid(text)
    return Account.objects.filter(pk=account_id).first() if account_id else None


# The page enters its tenant and platform contexts itself.
_VIEW = AdminSite.admin_view(admin.site, reading_auditors(why_refused))
SalientAdminSite.own_pages.append(path("why-refused/", _VIEW, name="why-refused"))
