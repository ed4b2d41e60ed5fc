"""The checks of `manage.py check` that accounts cannot reach each other's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from django.apps import apps
from django.core import checks
from django.db import connections, models
from django.db.migrations.executor import MigrationExecutor

from accounts.tenancy.context import TenantManager, TenantModel
from accounts.tenancy.rls import policy_problems
from accounts.tenancy.roles import TENANT_RIGHTS, Database, has_account
from salient.database.constraints import CompositeForeignKey


@checks.register(checks.Tags.models)
def check_tenant_models(
    app_configs: Sequence[Any] | None = None, **_more: Any
) -> list[checks.CheckMessage]:
    """Find models with an account that lack what isolates accounts."""
    chosen = apps.get_app_configs() if app_configs is None else app_configs
    return [
        checks.Error(problem, obj=model, id=f"accounts.{code}")
        for config in chosen
        for model in config.get_models(include_auto_created=True)
        if has_account(model)
        for code, problem in model_problems(model)
    ]


def model_problems(model: type[models.Model]) -> Iterator[tuple[str, str]]:
    if not issubclass(model, TenantModel):
        yield "E001", "it has an account and is no TenantModel"
    managers = [model._default_manager, model._base_manager, *model._meta.managers]
    if not all(isinstance(manager, TenantManager) for manager in managers):
        yield "E002", "a manager of it gives rows outside a context: derive it from TenantManager"
    keys = [set(c.fields) for c in model._meta.constraints if isinstance(c, CompositeForeignKey)]
    for field in model._meta.concrete_fields:
        if field.column == "account_id":
            held = any("account" in key for key in keys)
        elif field.is_relation and issubclass(cast(Any, field.related_model), TenantModel):
            held = any({"account", field.name} <= key for key in keys)
        else:
            continue
        if not held:
            yield "E003", f"no CompositeForeignKey holds {field.name!r} together with the account"
    if model._meta.db_table not in TENANT_RIGHTS:
        yield "E004", "its table is not in accounts.tenancy.roles.TENANT_RIGHTS"


@checks.register(checks.Tags.database)
def check_policies(
    *, databases: Sequence[str] | None = None, **_more: Any
) -> list[checks.CheckMessage]:
    """Find tables whose row-level security is not what their migration made.

    While migrations are pending nothing is reported: one of them may make the policy.
    """
    return [
        checks.Error(problem, id="accounts.E005")
        for alias in databases or ()
        if not pending_migrations(alias)
        for problem in policy_problems(Database(connections[alias]))
    ]


def pending_migrations(alias: str) -> bool:
    executor = MigrationExecutor(connections[alias])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
