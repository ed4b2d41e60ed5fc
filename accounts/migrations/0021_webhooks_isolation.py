from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Who sees webhooks, what of them is recorded, and how an event comes into the outbox."""

    dependencies = [("accounts", "0020_webhooks")]

    operations = [
        SQLFile("accounts", "0021_isolation", before="0021_isolation_back"),
        SQLFile("accounts", "0021_triggers", before="0021_triggers_back"),
        SQLFile(
            "accounts",
            "0021_app_publish",
            back="DROP FUNCTION app_publish(uuid, text, text, jsonb)",
        ),
        SQLFile("accounts", "0021_app_release_limits", before="0016_app_release_limits"),
    ]
