from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Take all limits of a call in one statement, and give them back in one."""

    dependencies = [("accounts", "0004_isolation")]

    operations = [
        SQLFile(
            "accounts",
            "0005_app_take_limits",
            back="DROP FUNCTION app_take_limits(uuid, uuid, text[], text[], integer[], integer, boolean, numeric, timestamptz)",
        ),
        SQLFile(
            "accounts",
            "0005_app_release_limits",
            back="DROP FUNCTION app_release_limits(uuid, uuid, numeric, numeric, timestamptz)",
        ),
        SQLFile(
            "accounts",
            "0005_app_count_budget",
            back="DROP FUNCTION app_count_budget(uuid, uuid, timestamptz)",
        ),
    ]
