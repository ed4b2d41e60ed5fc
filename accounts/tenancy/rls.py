"""What row-level security must look like, and where the database differs.

The policies themselves are SQL of the migrations. None of them holds OR, IS NULL, a sub-select or a
cast of the column: each of these keeps indexes from being used or tables from being distributed.
Tables are not FORCEd: that makes data migrations update nothing, silently, and breaks pg_dump.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from accounts.tenancy.context import PLATFORM_ROLE, TENANT_ROLE
from accounts.tenancy.roles import TENANT_RIGHTS, Database

# A policy as PostgreSQL words it: name, kind, role, command, USING, WITH CHECK.
type Policy = tuple[str, str, str, str, str | None, str | None]


_ERASED = "(account_id = (NULLIF(current_setting('app.erasing'::text, true), ''::text))::uuid)"


def expected_policies(table: str) -> set[Policy]:
    if table == "users":
        # Users belong to no account. The tenant's role sees the members of its own account; whoever
        # may read users at all (the login, which authenticates them) sees everybody.
        members = "(id IN ( SELECT memberships.user_id FROM memberships))"
        return {
            ("people", "PERMISSIVE", "public", "ALL", "true", "true"),
            ("tenant", "RESTRICTIVE", TENANT_ROLE, "ALL", members, None),
        }
    mine = f"({'id' if table == 'accounts' else 'account_id'} = app_current_account())"
    expected: set[Policy] = {
        ("tenant", "PERMISSIVE", TENANT_ROLE, "ALL", mine, mine),
        ("platform", "PERMISSIVE", PLATFORM_ROLE, "ALL", "true", "true"),
    }
    if table == "audit_log" and settings.DATABASE_DISTRIBUTED:
        # Of the account that is being erased (accounts/tenancy/distribution/statements.py).
        expected.add(("erased", "RESTRICTIVE", PLATFORM_ROLE, "DELETE", _ERASED, None))
    return expected


def policy_problems(database: Database) -> Iterator[str]:
    """Name the tables of the registry whose rows are not protected as they must be."""
    secured, policies = database.secured(), database.policies()
    for table in TENANT_RIGHTS:
        if table not in secured:
            yield f"{table}: row-level security is off"
        if policies.get(table, set()) != expected_policies(table):
            yield f"{table}: its policies are not the ones that its migration made"
