from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Write what happens in conversations into the outbox of the account's webhooks."""

    dependencies = [
        ("sessions_app", "0007_closed_sessions"),
        ("accounts", "0006_webhooks_isolation"),
    ]

    operations = [
        SQLFile(
            "sessions_app",
            "0008_app_publish_turns",
            back="DROP FUNCTION app_publish_turns(uuid, uuid[])",
        ),
        SQLFile(
            "sessions_app", "0008_app_publish_feedback", back="DROP FUNCTION app_publish_feedback()"
        ),
        SQLFile(
            "sessions_app", "0008_app_publish_session", back="DROP FUNCTION app_publish_session()"
        ),
        SQLFile("sessions_app", "0008_triggers", before="0008_triggers_back"),
        SQLFile("sessions_app", "0008_app_settle_turns", before="0005_app_settle_turns"),
    ]
