"""What conversations add to the pages of an account and of an agent: links, and its addresses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from accounts.admin import registry
from accounts.admin.formatting import list_address
from accounts.admin.registry import Link
from accounts.models import Account, ApiKey
from agents.admin.page_base import instance_page, review_page
from agents.models import AgentInstance, InstanceStatus
from sessions_app.api.chat_page import may_see


def account_links(request: HttpRequest, account: Account) -> Iterable[Link]:
    for name, page in (
        ("Sessions", "sessions_app_session"),
        ("LLM requests", "sessions_app_llmrequest"),
    ):
        yield name, list_address(page, account__id__exact=account.pk)
    explain_page = reverse("admin:why-refused")
    yield "Why would this call be refused?", f"{explain_page}?account={account.pk}"
    yield "Lifecycle", reverse("admin:account-lifecycle", args=[account.pk])
    if request.user.has_perm("sessions_app.add_erasure"):
        yield "Erase a person", f"{reverse('admin:erase-person')}?account={account.pk}"


def key_links(_request: HttpRequest, key: ApiKey) -> Iterable[Link]:
    explain_page = reverse("admin:why-refused")
    yield "Why would a call be refused?", f"{explain_page}?account={key.account_id}&key={key.pk}"


def instance_links(request: HttpRequest, instance: AgentInstance) -> Iterable[Link]:
    yield "Playground", reverse("admin:playground", args=[instance.pk])
    yield "Test chats", reverse("admin:saved-chats", args=[instance.pk])
    if instance.status == InstanceStatus.ACTIVE and may_see(request):
        slugs = [instance.account.slug, instance.instance_slug]
        yield "Chat page", reverse("sessions:page", args=slugs)
    only = {
        "agent_instance__id__exact": instance.pk,
        "account__id__exact": instance.account_id,
    }
    yield "Sessions", list_address("sessions_app_session", **only)
    yield "LLM requests", list_address("sessions_app_llmrequest", **only)
    explain_page = reverse("admin:why-refused")
    yield "Why refused?", f"{explain_page}?account={instance.account_id}&instance={instance.pk}"


def instance_context(_request: HttpRequest, instance: AgentInstance) -> dict[str, Any]:
    slugs = [instance.account.slug, instance.instance_slug]
    return {"api_path": reverse("sessions:chat", args=slugs)}


def review_links(_request: HttpRequest, instance: AgentInstance) -> Iterable[Link]:
    playground = reverse("admin:playground", args=[instance.pk])
    yield "Talk to the draft in the playground", f"{playground}?draft=1"
    yield "Run the test chats", reverse("admin:saved-chats", args=[instance.pk])


registry.account_page.add_links(account_links)
registry.key_page.add_links(key_links)
instance_page.add_links(instance_links)
instance_page.add(instance_context)
review_page.add_links(review_links)
