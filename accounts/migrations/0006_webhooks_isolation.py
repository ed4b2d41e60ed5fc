from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Who sees webhooks, what of them is recorded, and how an event comes into the outbox."""

    dependencies = [("accounts", "0005_webhooks")]

    operations = [
        SQLFile("accounts", "0006_isolation", before="0006_isolation_back"),
        SQLFile("accounts", "0006_triggers", before="0006_triggers_back"),
        SQLFile(
            "accounts",
            "0006_app_publish",
            back="DROP FUNCTION app_publish(uuid, text, text, jsonb)",
        ),
        SQLFile("accounts", "0006_app_release_limits", before="0001_app_release_limits"),
    ]
