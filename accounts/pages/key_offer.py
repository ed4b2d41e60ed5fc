"""Pages for people who take a key that staff have made for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_safe

from accounts.admin.api_key_forms import OverlapForm
from accounts.keys import offers
from accounts.members.email_addresses import is_same
from accounts.members.one_time_links import LinkClosed
from accounts.models import ApiKey, User
from accounts.pages.one_time_links import LinkPages
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import tenant_context

_link = LinkPages("key-offer", offers.find, "accounts:take-key", "key_gone.html")


@require_safe
@cache_control(private=True, no_store=True)
def offer(request: HttpRequest, account: str, token: str) -> HttpResponse:
    """Open the link of the e-mail."""
    return _link.open(request, account, token)


@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_store=True)
def take(request: HttpRequest, account: str) -> HttpResponse:
    """Say which key waits for whom; POST makes it, for this person alone, and shows it once."""
    try:
        key = _link.opened(request, account)
        user = request.user
        if not isinstance(user, User) or not is_same(user.email, key.taker):
            return page(request, key, status=403 if request.method == "POST" else 200)
        role = offers.role_of(user, key)
        if not offers.may_hold(role, key):
            status = 403 if request.method == "POST" else 200
            return page(request, key, status=status, is_taker=True, role=role)
        return take_as(request, key, user)
    except LinkClosed:
        return _link.closed(request)


def take_as(request: HttpRequest, key: ApiKey, user: User) -> HttpResponse:
    form = OverlapForm(request.POST or None) if key.rotated_from else None
    if request.method != "POST" or (form is not None and not form.is_valid()):
        return page(request, key, is_taker=True, may_take=True, form=form, agents=agents_of(key))
    hours = form.cleaned_data["overlap_hours"] if form else 0
    taken, text = offers.take(key, user, timedelta(hours=hours))
    _link.forget(request)
    with tenant_context(taken.account_id):
        agent = example_agent(taken)
    return page(request, taken, text=text, agent=agent, root=root_of(request))


def page(request: HttpRequest, key: ApiKey, *, status: int = 200, **context: Any) -> HttpResponse:
    return render(request, "key_offer.html", {"key": key, **context}, status=status)


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
