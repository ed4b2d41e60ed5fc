"""The page that onboards a customer: account, agent, owner, key and budget, in any order.

What cannot be made yet is kept in the person's session, with what is wrong with it, until it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from accounts.admin import registry
from accounts.admin.lists.key_states import key_badge
from accounts.keys import offers
from accounts.keys.services import add_account
from accounts.limits.budgets import put_budget
from accounts.members import invitations
from accounts.models import Account, BudgetPeriod
from accounts.pages.mail import send_or_tell, site_of
from accounts.tenancy.accounts import account_by_id
from accounts.tenancy.locks import lock_rows
from agents.admin.onboarding_forms import PARTS, Part
from agents.admin.onboarding_kept import (
    BEGUN,
    Fault,
    Values,
    forget,
    keep,
    kept_at,
    others_begun,
    place_of,
)
from agents.admin.page_base import person
from agents.config import ConfigError
from agents.config.versions.faults import fault_of
from agents.instances import onboarding
from agents.instances.managed import add_agent
from agents.instances.onboarding import Onboarding, onboarding_of
from agents.instances.templates import TEMPLATES
from salient.api.problems import Invalid, Problem


def onboard(request: HttpRequest, account_id: UUID | None = None) -> HttpResponse:
    """Show what is done and what is not; a POST does what was filled in and keeps the rest."""
    if not request.user.has_perm("accounts.view_account"):
        raise PermissionDenied
    account = account_by_id(str(account_id)) if account_id else None
    if account_id and account is None:
        raise Http404("There is no such account.")
    if request.method == "POST":
        return Saving(request, account).answer()
    place = place_of(request, account)
    kept = kept_at(request, place)
    state = onboarding_of(account) if account else Onboarding()
    context = {
        **admin.site.each_context(request),
        "title": f"Onboard {account.name}" if account else "Onboard a customer",
        "account": account,
        "parts": list(_shown(request, account, state, kept)),
        "templates": TEMPLATES.values(),
        "is_complete": state.done == len(PARTS) - 1,
        "place": place,
        "is_begun": bool(kept) and account is None,
        "others": [] if account else others_begun(request, place),
    }
    return TemplateResponse(request, "admin/onboarding.html", context)


def _shown(
    request: HttpRequest, account: Account | None, state: Onboarding, kept: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield each part as the page shows it: done, a form, or why it is neither."""
    for part in PARTS:
        done = account if part.name == "account" else getattr(state, part.name)
        form = None
        if not done and request.user.has_perm(part.right):
            form = part(kept.get("values"), account=account, user=person(request))
            for name, field, text in kept.get("faults", []):
                if name == part.name and form.is_wanted:
                    form.add_error(field, text)
        facts = {"name": part.name, "title": part.title, "done": done, "form": form}
        facts["is_kept"] = not part.is_empty(part.own(kept.get("values", {})))
        yield facts | _facts(part.name, done)


def _facts(name: str, done: Any) -> dict[str, Any]:
    match name:
        case "agent" if done:
            return {"fault": fault_of(done)}
        case "key" if done:
            return {"badge": key_badge(done)}
    return {}


class Saving:
    """One POST of the page: makes what it can, each part for itself, and keeps the rest."""

    def __init__(self, request: HttpRequest, account: Account | None) -> None:
        self.request, self.account, self.user = request, account, person(request)
        self.place = place_of(request, account)
        self.values: Values = {}
        earlier: Values = kept_at(request, self.place).get("values", {})
        for part in PARTS:
            sent = part.own(request.POST)
            if not part.is_empty(sent):
                self.values |= sent
            elif part.name not in request.POST.getlist("shown"):
                # The page did not show what another tab has left here meanwhile.
                self.values |= part.own(earlier)
        self.faults: list[Fault] = []
        self.made: list[str] = []
        self.was_made: list[str] = []

    def answer(self) -> HttpResponse:
        done = self._done()
        for part in PARTS:
            form = part(self.values, account=self.account, user=self.user)
            if form.is_wanted and part.name in done:
                self.was_made.append(self._named_and_forgotten(form))
            elif form.is_wanted and self.user.has_perm(part.right):
                self._save(form)
        self._keep()
        self._tell()
        if self.account is not None:
            return redirect("admin:onboard-account", self.account.pk)
        return redirect(f"{reverse('admin:onboard')}?{BEGUN}={self.place}")

    def _done(self) -> set[str]:
        """Return the parts that there are: a form that is sent twice, or by two, makes no second.

        Whoever sends one for the same account meanwhile waits.
        """
        if self.account is None:
            return set()
        lock_rows("onboarding", self.account.pk)
        state = onboarding_of(self.account)
        return {"account", *(part.name for part in PARTS if getattr(state, part.name, None))}

    def _named_and_forgotten(self, form: Part) -> str:
        """Forget what was filled in, and return what the part is called in a sentence."""
        before = f"{form.name}-"
        self.values = {key: each for key, each in self.values.items() if not key.startswith(before)}
        return form.title if form.title == "API key" else form.title.lower()

    def _tell(self) -> None:
        if self.made:
            messages.success(self.request, f"Done: {', '.join(self.made)}.")
        if self.was_made:
            text = f"Already there, and left unchanged: {', '.join(self.was_made)}."
            messages.warning(self.request, text)
        if not self.made and not self.was_made and not self.faults:
            messages.warning(self.request, "Nothing was filled in that could be set up.")

    def _save(self, form: Part) -> None:
        waits = self.account is None and form.name != "account"
        if form.is_valid() and not waits:
            try:
                with transaction.atomic():
                    getattr(self, f"_{form.name}")(form)
            except Invalid as problem:
                for each in problem.members["errors"]:
                    self._refuse(form, each["field"], each["message"])
            except Problem as problem:
                self._refuse(form, None, problem.detail)
            except ValidationError as error:
                self._refuse_rules(form, error)
            except ConfigError as error:
                for found in error.problems:
                    self._refuse(form, found.key, found.message)
            except IntegrityError:
                self._refuse(form, None, "Somebody has just made one of that name.")
        if form.is_valid() and not waits:
            self.made.append(self._named_and_forgotten(form))

    def _refuse(self, form: Part, field: str | None, text: str) -> None:
        names = {"display_name": "name", "instance_slug": "slug"}
        known = names.get(field or "", field)
        known = known if known in form.fields else None
        form.add_error(known, text)
        self.faults.append((form.name, known, text))

    def _refuse_rules(self, form: Part, error: ValidationError) -> None:
        found = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
        for field, texts in found.items():
            self._refuse(form, field, " ".join(texts))

    def _keep(self) -> None:
        """Keep what is left, of a new account at its own place, and forget what is done."""
        forget(self.request, self.place)
        place = str(self.account.pk) if self.account else self.place
        if not keep(self.request, place, self.values, self.faults):
            messages.error(self.request, "This is too long to be kept: shorten it, and try again.")

    def _account(self, form: Part) -> None:
        if self.account is None:
            data = form.cleaned_data
            self.account = add_account(data["slug"], name=data["name"])

    def _agent(self, form: Part) -> None:
        assert self.account is not None  # noqa: S101 - it waits without one
        data = form.cleaned_data
        config = onboarding.first_config(
            data["template"], prompt=data["system_prompt"], model=data["model"]
        )
        add_agent(
            self.account,
            self.user,
            instance_slug=data["slug"],
            display_name=data["name"],
            config=config,
        )

    def _owner(self, form: Part) -> None:
        assert self.account is not None  # noqa: S101
        email = form.cleaned_data["email"]
        if invitations.has_owner(self.account.pk):
            self._refuse(form, "email", "The account has an owner, who can invite people.")
            return
        invited = onboarding.invite_owner(self.account, email, invited_by=self.user.email)
        send = partial(invitations.send, invited, site_of(self.request))
        self._send(send, "The e-mail to the owner could not be sent; invite the person once more.")

    def _key(self, form: Any) -> None:
        assert self.account is not None  # noqa: S101
        owner = onboarding_of(self.account).owner
        taker = form.taker(owner)
        if form.errors:
            self.faults += [("key", "person", text) for text in form.errors["person"]]
            return
        offered = onboarding.first_key(self.account, form.cleaned_data["label"], taker)
        send = partial(offers.send, offered, site_of(self.request))
        self._send(send, "The e-mail with the key could not be sent: revoke it, and offer another.")

    def _budget(self, form: Part) -> None:
        assert self.account is not None  # noqa: S101
        data = form.cleaned_data
        put_budget(self.account, limit=data["limit"], period=data["period"] or BudgetPeriod.MONTH)

    def _send(self, send: Any, problem: str) -> None:
        """Send after the commit, so that a slow server keeps no transaction open."""
        transaction.on_commit(partial(send_or_tell, self.request, send, problem))


def _link(request: HttpRequest, account: Account) -> list[tuple[str, str]]:
    may = request.user.has_perm("accounts.add_account")
    return [("Onboarding", reverse("admin:onboard-account", args=[account.pk]))] if may else []


def _begin(request: HttpRequest) -> list[tuple[str, str]]:
    may = request.user.has_perm("accounts.add_account")
    return [("Onboard a customer", reverse("admin:onboard"))] if may else []


registry.account_page.add_links(_link)
registry.accounts_list.add_links(_begin)
registry.own_pages += [
    path("onboarding/", admin.site.admin_view(onboard), name="onboard"),
    path("onboarding/<uuid:account_id>/", admin.site.admin_view(onboard), name="onboard-account"),
]
