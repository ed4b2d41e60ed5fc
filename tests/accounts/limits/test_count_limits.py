"""How many rows of a kind an account may have holds for calls that come at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import Any
from unittest import mock

from django.db import models
from django.test import TransactionTestCase

from accounts.auth.caller import Caller
from accounts.keys import managed as keys
from accounts.members import invitations
from accounts.models import ApiKey, Invitation, MemberRole, Scope, WebhookEndpoint
from accounts.tenancy.context import platform_context
from accounts.webhooks import endpoints
from agents.connections import connections
from agents.instances import managed as agents
from agents.models import AgentInstance, ProviderConnection
from salient.api.problems import Problem
from salient.database import give_back
from tests.support.factories import make_account, make_key

type Make = Callable[[Caller, int], object]


def make_webhook(caller: Caller, _number: int) -> object:
    return endpoints.create_endpoint(
        caller.account_id, url="https://hooks.example.com/in", events=["turn.finished"]
    )


def make_connection(caller: Caller, number: int) -> object:
    url = "https://models.example.com/v1"
    return connections.create_connection(
        caller.account_id, name=f"more-{number}", base_url=url, key=""
    )


def make_agent(caller: Caller, number: int) -> object:
    return agents.make_agent(
        caller,
        None,
        instance_slug=f"agent-{number}",
        display_name=None,
        allowed_origins=[],
        config="",
    )


def make_another_key(caller: Caller, number: int) -> object:
    return keys.make_key(caller, agents=[], name=f"key-{number}", scopes=["chat"])


def invite(caller: Caller, number: int) -> object:
    return invitations.invite(caller, email=f"person{number}@example.com", role=MemberRole.VIEWER)


class CountTests(TransactionTestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        key, _ = make_key(self.account)
        self.caller = Caller(
            self.account.pk, "acme", frozenset(Scope.values), f"key:{key.pk}", api_key_id=key.pk
        )

    def test_of_two_calls_at_once_one_gets_the_last_place(self) -> None:
        cases: list[tuple[type[models.Model], Any, str, Make]] = [
            (WebhookEndpoint, endpoints, "MOST_ENDPOINTS", make_webhook),
            (ProviderConnection, connections, "MOST_CONNECTIONS", make_connection),
            (AgentInstance, agents, "MOST_AGENTS", make_agent),
            (ApiKey, keys, "MOST_KEYS", make_another_key),
            (Invitation, invitations, "MOST_PENDING", invite),
        ]
        for model, module, most, make in cases:
            with self.subTest(model=model.__name__):
                before = self.count(model)
                with mock.patch.object(module, most, before + 1):
                    refused = self.both(model, make)
                self.assertEqual((self.count(model), refused), (before + 1, 1))

    def both(self, model: type[models.Model], make: Make) -> int:
        """Make two at once, which store when both have counted, if both may; count refusals."""
        counted, save = Barrier(2), model.save

        def late(row: models.Model, *args: Any, **options: Any) -> None:
            with suppress(BrokenBarrierError):
                counted.wait(0.5)
            save(row, *args, **options)

        def call(number: int) -> int:
            try:
                make(self.caller, number)
            except Problem:
                return 1
            finally:
                give_back()
            return 0

        with mock.patch.object(model, "save", late), ThreadPoolExecutor(2) as threads:
            return sum(threads.map(call, range(2)))

    def count(self, model: Any) -> int:
        with platform_context():
            return int(model.objects.filter(account_id=self.account.pk).count())
