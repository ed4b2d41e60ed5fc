"""One row of each kind that the admin has pages of, and the addresses of these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Model
from django.urls import reverse
from django_tasks_db.models import DBTaskResult

import accounts.management.jobs
from accounts.models import Account, User
from accounts.tenancy.context import platform_context
from accounts.tenancy.roles import has_account
from salient.ids import uuid7
from sessions_app.models import AccountErasure
from tests.support.factories import make_user
from tests.support.isolation.accounts import make_owned


def address(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@contextmanager
def slow_queries_of(table: str) -> Iterator[None]:
    """Let the database stop each query that selects from the table, as it takes too long."""

    def slow(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        if sql.startswith(f'SELECT "{table}"'):
            execute("SET LOCAL statement_timeout = '10ms'", None, False, context)
            return execute("SELECT pg_sleep(2)", None, False, context)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(slow):
        yield


def make_one_of_each() -> dict[type[Model], Any]:
    """One more row of every registered model, each with an account of its own."""
    name = uuid7().hex
    account = make_owned(name, name).account
    with platform_context():
        own = {
            model: model._base_manager.filter(account=account).values_list("pk", flat=True)[0]
            for model in admin.site._registry
            if has_account(model)
        }
    return own | {
        Account: account.pk,
        AccountErasure: AccountErasure.objects.create(erased_id=account.pk, slug=account.slug).pk,
        DBTaskResult: accounts.management.jobs.forget_past_limits.enqueue().id,
        User: make_user().pk,
        Group: Group.objects.create(name=name).pk,
    }
