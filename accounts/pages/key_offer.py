"""Pages for people who take a key that staff have made for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_safe

from accounts.admin.api_key_forms import OverlapForm
from accounts.keys import offers
from accounts.keys.offers import NotOffered
from accounts.members.email_addresses import is_same
from accounts.members.invitations import token_hash
from accounts.models import ApiKey, User
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import tenant_context

# The hash of the token whose link was opened in this browser.
OPENED = "key-offer"


@require_safe
@cache_control(private=True, no_store=True)
def offer(request: HttpRequest, account: str, token: str) -> HttpResponse:
    """The link in the e-mail: it hands its token over to the session and leads on."""
    hashed = token_hash(token)
    try:
        offers.find(account, hashed)
    except NotOffered:
        response = gone(request)
    else:
        request.session[OPENED] = hashed
        response = redirect("accounts:take-key", account)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_store=True)
def take(request: HttpRequest, account: str) -> HttpResponse:
    """Say which key waits for whom; POST makes it, for this person alone, and shows it once."""
    try:
        key = offers.find(account, request.session.get(OPENED, ""))
        user = request.user
        if not isinstance(user, User) or not is_same(user.email, key.taker):
            return page(request, key, status=403 if request.method == "POST" else 200)
        role = offers.role_of(user, key)
        if role not in offers.TAKERS:
            status = 403 if request.method == "POST" else 200
            return page(request, key, status=status, is_taker=True, role=role)
        return take_as(request, key, user)
    except NotOffered:
        return gone(request)


def take_as(request: HttpRequest, key: ApiKey, user: User) -> HttpResponse:
    form = OverlapForm(request.POST or None) if key.rotated_from else None
    if request.method != "POST" or (form is not None and not form.is_valid()):
        return page(request, key, is_taker=True, may_take=True, form=form, agents=agents_of(key))
    hours = form.cleaned_data["overlap_hours"] if form else 0
    taken, text = offers.take(key, user, timedelta(hours=hours))
    request.session.pop(OPENED, None)
    with tenant_context(taken.account_id):
        agent = example_agent(taken)
    return page(request, taken, text=text, agent=agent, root=root_of(request))


def page(request: HttpRequest, key: ApiKey, *, status: int = 200, **context: Any) -> HttpResponse:
    return render(request, "key_offer.html", {"key": key, **context}, status=status)


def gone(request: HttpRequest) -> HttpResponse:
    """One answer for a wrong, expired, withdrawn and used token."""
    return render(request, "key_gone.html", status=404)


def agents_of(key: ApiKey) -> list[str]:
    """Name the agents that the key is restricted to; none where it is for all of them."""
    if not key.instance_ids:
        return []
    with tenant_context(key.account_id):
        agents = agent_slugs(key.account_id)
    return sorted(agents[pk] for pk in key.instance_ids if pk in agents)


def example_agent(key: ApiKey) -> str:
    """Name an active agent that the key may call; inside a tenant or platform context."""
    agents = agent_slugs(key.account_id, only_active=True)
    slugs = [slug for pk, slug in agents.items() if not key.instance_ids or pk in key.instance_ids]
    return min(slugs, default="AGENT")


def root_of(request: HttpRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")
