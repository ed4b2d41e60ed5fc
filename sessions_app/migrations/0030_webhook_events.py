from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Write what happens in conversations into the outbox of the account's webhooks."""

    dependencies = [
        ("sessions_app", "0029_account_in_keys"),
        ("accounts", "0021_webhooks_isolation"),
    ]

    operations = [
        SQLFile(
            "sessions_app",
            "0030_app_publish_turns",
            back="DROP FUNCTION app_publish_turns(uuid, uuid[])",
        ),
        SQLFile(
            "sessions_app", "0030_app_publish_feedback", back="DROP FUNCTION app_publish_feedback()"
        ),
        SQLFile(
            "sessions_app", "0030_app_publish_session", back="DROP FUNCTION app_publish_session()"
        ),
        SQLFile("sessions_app", "0030_triggers", before="0030_triggers_back"),
        SQLFile("sessions_app", "0030_app_settle_turns", before="0028_app_settle_turns"),
    ]
