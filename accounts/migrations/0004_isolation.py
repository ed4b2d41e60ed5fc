from django.db import migrations

from accounts.tenancy.roles import make_roles
from salient.database.sql_files import SQLFile


def prepare(apps, schema_editor):
    make_roles(schema_editor.connection)


class Migration(migrations.Migration):
    """Roles, and row-level security on what belongs to accounts."""

    dependencies = [("accounts", "0003_tables")]

    operations = [
        # The way back leaves the roles: other databases of the server use them too.
        migrations.RunPython(prepare, migrations.RunPython.noop),
        SQLFile("accounts", "0004_app_current_account", back="DROP FUNCTION app_current_account()"),
        SQLFile("accounts", "0004_isolation", before="0004_isolation_back"),
        SQLFile("accounts", "0004_app_find_account", back="DROP FUNCTION app_find_account(text)"),
        SQLFile("accounts", "0004_app_find_api_key", back="DROP FUNCTION app_find_api_key(text)"),
    ]
