"""What the apps above register with accounts: their tables, and how agent instances are named.

They call it when they are ready, so that nothing here names a table or a relation of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from accounts.models.audit import OBJECT_TYPES
from accounts.tenancy.roles import TENANT_RIGHTS

type InstanceReader = Callable[[UUID], dict[UUID, str]]

_instance_readers: list[InstanceReader] = []


def register_tables(rights: Mapping[str, str], *, audited: Iterable[str]) -> None:
    """Say what the tenant's role may do with an app's tables, and which the audit log is about.

    `rights` maps a table to what GRANT takes, such as "SELECT, INSERT, UPDATE (name)".
    """
    TENANT_RIGHTS.update(rights)
    OBJECT_TYPES.extend(table for table in audited if table not in OBJECT_TYPES)


def register_instances(reader: InstanceReader) -> None:
    _instance_readers[:] = [reader]


def instance_slugs(account_id: UUID) -> dict[UUID, str]:
    """Return the slugs of all the account's agent instances by their ids; in its context."""
    [reader] = _instance_readers
    return reader(account_id)
