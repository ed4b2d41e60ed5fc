"""Which pages are pictured, each with a row that shows something."""

from __future__ import annotations

from urllib.parse import urlencode

from accounts.admin.lists.neighbours import KEPT
from accounts.admin.lists.private import without_texts
from accounts.models import Account
from accounts.tenancy.context import platform_context
from agents.models import AgentInstance, ProviderConnection
from sessions_app.conversations.search import MessageSearch
from sessions_app.models import CompletionStatus, LLMRequest, Session
from tests.e2e.fixtures import instance_with_most


def album() -> dict[str, str]:
    """Return the address of each picture by its name."""
    with platform_context():
        instance = instance_with_most()
        account = instance.account_id
        return {
            "overview": "/admin/",
            **_tenants(instance),
            **_conversations(instance),
            "members": f"/admin/accounts/membership/?account__id__exact={account}",
            "limits": "/admin/accounts/accountlimits/",
            "budgets": "/admin/accounts/budget/",
            "why-refused": f"/admin/why-refused/?account={account}",
            "audit": "/admin/accounts/auditentry/",
            "support-accesses": "/admin/accounts/supportaccess/",
            "users": "/admin/accounts/user/",
        }


def _tenants(instance: AgentInstance) -> dict[str, str]:
    tried = AgentInstance.objects.filter(
        account=instance.account_id, saved_chats__runs__isnull=False
    )[0]
    connection = ProviderConnection.objects.order_by("account__slug")[0]
    account, page = instance.account_id, f"/admin/agents/agentinstance/{instance.pk}"
    return {
        "accounts": "/admin/accounts/account/",
        "account": f"/admin/accounts/account/{account}/change/",
        "suspend": f"/admin/accounts/account/status/suspend/?id={account}",
        "instances": "/admin/agents/agentinstance/",
        "instance": f"{page}/change/",
        "configuration": f"{page}/configuration/",
        "review": f"{page}/configuration/review/",
        "playground": f"/admin/sessions_app/savedchat/playground/{instance.pk}/",
        "test-chats": f"/admin/sessions_app/savedchat/of/{tried.pk}/",
        "connection": f"/admin/agents/providerconnection/{connection.pk}/change/",
        "keys": "/admin/accounts/apikey/",
        "key-new": f"/admin/accounts/apikey/add/?account={account}",
        "key-made": f"/admin/accounts/apikey/add/?account={account}",
    }


def _conversations(instance: AgentInstance) -> dict[str, str]:
    account = Account.objects.get(pk=instance.account_id)
    sessions = Session.objects.filter(account=account, turn_count__gte=3)
    session = sessions.filter(feedback__isnull=False).order_by("-pk").first() or sessions[0]
    request = LLMRequest.objects.filter(
        account=account, completion_status=CompletionStatus.COMPLETE
    )
    found = {"account__id__exact": str(account.pk), "text": "order", "role": "assistant"}
    [hit] = MessageSearch(account.pk, "order", role="assistant").hits()[:1]
    kept = urlencode({KEPT: urlencode(without_texts(found, {"text"}))})
    return {
        "sessions": "/admin/sessions_app/session/",
        "hit": f"/admin/sessions_app/session/{hit.session_id}/change/?{kept}",
        "search": f"/admin/sessions_app/session/?account__id__exact={account.pk}&text=order",
        "session": f"/admin/sessions_app/session/{session.pk}/change/",
        "requests": "/admin/sessions_app/llmrequest/",
        "request": f"/admin/sessions_app/llmrequest/{request.order_by('-pk')[0].pk}/change/",
        "feedback": "/admin/sessions_app/messagefeedback/",
    }
