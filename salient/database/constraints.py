"""A foreign key over several columns as a model constraint; Django's own has one column."""

import re
from collections.abc import Sequence
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, IntegrityError
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table
from django.db.models import BaseConstraint, Field, Model

_NAMED = re.compile(r'constraint "([^"]+)"')
# What Citus puts behind the name of a table's part.
_SHARD = re.compile(r"_\d{5,}$")


def broken_constraint(error: IntegrityError) -> str:
    """Return the name of the constraint that refused a row, "" where none is named.

    A cluster passes on a server's error without its fields, and with the shard in the name.
    """
    diagnosis = getattr(error.__cause__, "diag", None)
    name = getattr(diagnosis, "constraint_name", None)
    if name is None:
        told = _NAMED.search(getattr(diagnosis, "message_primary", None) or "")
        name = told[1] if told else ""
    return _SHARD.sub("", name)


class CompositeForeignKey(BaseConstraint):
    """FOREIGN KEY (fields) REFERENCES to (to_fields).

    PostgreSQL checks foreign keys without row-level security: only a key that holds the account
    refuses a row that points into another account. `on_delete` is SQL ("CASCADE", "NO ACTION",
    "SET NULL (column)"); MATCH SIMPLE, so a null in any field switches the check off. `on_update`
    is "CASCADE" for keys that hold a slug, which may be renamed; ids never change. Stable:
    migrations use it, and older ones rely on the default of `on_update`.
    """

    def __init__(
        self,
        *,
        fields: Sequence[str],
        to: str,
        to_fields: Sequence[str],
        name: str,
        on_delete: str = "CASCADE",
        on_update: str = "CASCADE",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.fields, self.to_fields = tuple(fields), tuple(to_fields)
        self.to, self.on_delete, self.on_update = to, on_delete, on_update

    def _columns(self, model: type[Model], names: Sequence[str]) -> list[str]:
        return [str(_field(model, name).column) for name in names]

    def constraint_sql(self, model: Any, schema_editor: Any) -> str:
        """Return the clause for CREATE TABLE."""
        quote = schema_editor.quote_name
        target = model._meta.apps.get_model(self.to)
        columns = ", ".join(map(quote, self._columns(model, self.fields)))
        targets = ", ".join(map(quote, self._columns(target, self.to_fields)))
        return (
            f"CONSTRAINT {quote(self.name)} FOREIGN KEY ({columns}) "
            f"REFERENCES {quote(target._meta.db_table)} ({targets}) "
            f"ON DELETE {self.on_delete} ON UPDATE {self.on_update}"
        )

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        return self._alter(model, schema_editor, f"ADD {self.constraint_sql(model, schema_editor)}")

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        name = schema_editor.quote_name(self.name)
        return self._alter(model, schema_editor, f"DROP CONSTRAINT {name}")

    def _alter(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor, what: str
    ) -> Statement:
        table = Table(model._meta.db_table, schema_editor.quote_name)
        return Statement("ALTER TABLE %(table)s %(what)s", table=table, what=what)

    def validate(
        self,
        model: type[Model],
        instance: Model,
        exclude: set[str] | None = None,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        values = [getattr(instance, _field(model, name).attname) for name in self.fields]
        if None in values or set(self.fields) & (exclude or set()):
            return
        target = model._meta.apps.get_model(self.to)
        wanted = dict(zip(self.to_fields, values, strict=True))
        if not target._base_manager.using(using).filter(**wanted).exists():
            raise ValidationError(
                self.get_violation_error_message(),
                code=self.violation_error_code,
            )

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        kwargs |= {"fields": self.fields, "to": self.to, "to_fields": self.to_fields}
        kwargs |= {"on_delete": self.on_delete}
        return (
            path,
            args,
            kwargs if self.on_update == "CASCADE" else kwargs | {"on_update": self.on_update},
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, CompositeForeignKey):
            return self.deconstruct() == other.deconstruct()
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)


def _field(model: type[Model], name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", model._meta.get_field(name))
