"""SQL texts in files: the ones in force ({app}/sql) and the frozen ones of migrations.

Stable: migrations use `SQLFile`. What it does with an existing file must not change.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# In a file, this stands for the quoted name of the schema that holds the tables. Functions with a
# fixed search_path need it.
SCHEMA = "{schema}"


class SQLFile(migrations.RunSQL):
    """Runs {app}/migrations/sql/{name}.sql.

    The way back runs the file `before`, which is the frozen copy of an earlier migration or one
    made for the way back, or else the statement `back`.
    """

    def __init__(
        self,
        app: str,
        name: str,
        *,
        before: str | None = None,
        back: str = migrations.RunSQL.noop,
    ) -> None:
        self.app, self.name, self.before, self.back = app, name, before, back
        super().__init__(read(app, name), back if before is None else read(app, before))

    def deconstruct(self) -> Any:
        options = {"app": self.app, "name": self.name, "before": self.before, "back": self.back}
        return type(self).__qualname__, [], options

    def describe(self) -> str:
        return f"Run {self.app}/migrations/sql/{self.name}.sql"

    def _run_sql(self, schema_editor: BaseDatabaseSchemaEditor, sqls: Any) -> None:
        if sqls != migrations.RunSQL.noop:
            # Without parameters, so that a percent sign in a function means itself.
            schema_editor.execute(in_schema(sqls, schema_editor.connection), params=None)


def read(app: str, name: str) -> str:
    """Return the text of a frozen file."""
    file = resources.files(f"{app}.migrations").joinpath("sql", f"{name}.sql")
    return file.read_text(encoding="utf-8")


def in_schema(text: str, connection: Any) -> str:
    """Name the schema that holds the tables, where the text asks for it."""
    if SCHEMA not in text:
        return text
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        [schema] = cursor.fetchone()
    return text.replace(SCHEMA, connection.ops.quote_name(schema))
