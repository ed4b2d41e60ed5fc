from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Take and give back the limits of several calls at once, with half the statements.

    The functions of 0005 stay: servers that still run while this is migrated call them.
    """

    dependencies = [("accounts", "0009_audit_rights")]

    operations = [
        SQLFile(
            "accounts",
            "0010_app_take_limits",
            back="DROP FUNCTION app_take_limits(uuid, uuid, jsonb, integer, integer, integer, numeric, timestamptz)",
        ),
        SQLFile(
            "accounts",
            "0010_app_release_limits",
            back="DROP FUNCTION app_release_limits(uuid, uuid, integer, numeric, numeric, timestamptz)",
        ),
    ]
