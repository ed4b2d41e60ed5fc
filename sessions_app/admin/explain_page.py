"""The page "Why would this call be refused?": staff describe a call and see each check's answer."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.urls import path

from accounts.admin import registry
from accounts.admin.site import own_page
from accounts.auth.explain import first_refusal
from accounts.keys.services import find_key, keys_of
from accounts.limits.registry import MAX_MESSAGE_BYTES
from accounts.members.members import people_of
from accounts.models import Account, ApiKey
from accounts.tenancy.accounts import account_by_id, all_accounts
from accounts.tenancy.context import platform_context
from agents.instances.services import instances_of
from agents.models import AgentInstance
from sessions_app.turns.explain import ExampleCall, examine

DEFAULT_BYTES = 100
RIGHTS = ("accounts.view_account", "accounts.view_apikey", "agents.view_agentinstance")


class CallForm(forms.Form):
    """The call: by whom, to which agent, from where, and how long its message is."""

    account = forms.ModelChoiceField(all_accounts(), widget=forms.HiddenInput)
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
        label="Length of the message, bytes",
        required=False,
        min_value=1,
        max_value=MAX_MESSAGE_BYTES,
        initial=DEFAULT_BYTES,
    )

    def __init__(self, account: Account, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.of_account = account
        self.people = {str(member.pk): member for member in people_of(account.pk)}
        self.fields["instance"].queryset = instances_of(account.pk)  # type: ignore[attr-defined]
        keys = [(f"key:{key.pk}", str(key)) for key in keys_of(account.pk)]
        members = [
            (f"member:{key}", f"{member.user.email} ({member.role})")
            for key, member in self.people.items()
        ]
        groups = [("Keys", keys), ("Members", members)]
        self.fields["caller"].choices = groups  # type: ignore[attr-defined]

    def clean_address(self) -> Any:
        text = self.cleaned_data["address"].strip()
        try:
            return ip_address(text) if text else None
        except ValueError as error:
            raise ValidationError("This is not an IP address.") from error

    def clean(self) -> dict[str, Any]:
        """Ask for the address where the answer depends on it: a real call always has one."""
        data = super().clean() or self.cleaned_data
        key = self._key()
        if key is not None and key.networks and data.get("address", "") is None:
            networks = ", ".join(map(str, key.networks))
            text = f"This key works only from {networks}: say from which address it was called."
            self.add_error("address", text)
        return data

    def _key(self) -> ApiKey | None:
        kind, _, key = self.cleaned_data.get("caller", "").partition(":")
        return find_key(UUID(key), self.of_account.pk) if kind == "key" else None

    def call(self) -> ExampleCall:
        """Return the call that is described; inside the platform context."""
        data = self.cleaned_data
        kind, _, key = data["caller"].partition(":")
        instance = data["instance"]
        instance.account = self.of_account
        return ExampleCall(
            instance,
            key=self._key(),
            member=self.people[key] if kind == "member" else None,
            address=data["address"],
            origin=data["origin"] or None,
            message="x" * (data["size"] or DEFAULT_BYTES),
        )


def why_refused(request: HttpRequest) -> HttpResponse:
    """Describe a call and see each check; the page only reads, so its address can be shared.

    It opens its contexts itself: the checks run in the tenant context of the call's account.
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
            "account": form.of_account if form else None,
            "accounts": [] if form else list(all_accounts()),
            "call": call,
            "checks": checks,
            "refused": first_refusal(checks),
        }
        return render(request, "admin/why_refused.html", context)


def _form(request: HttpRequest) -> CallForm | None:
    """Return the form of the chosen account; bound once agent and caller are chosen."""
    query = request.GET.copy()
    account = account_by_id(query.get("account", ""))
    if account is None:
        return None
    if key := query.get("key"):
        query["caller"] = f"key:{key}"
    if "caller" in query and "instance" in query:
        return CallForm(account, query)
    return CallForm(account, initial={"size": DEFAULT_BYTES, **query.dict()})


registry.own_pages.append(path("why-refused/", own_page(why_refused), name="why-refused"))
