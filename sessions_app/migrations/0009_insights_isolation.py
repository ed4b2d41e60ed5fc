from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Row-level security on usage, prompts, feedback and test chats."""

    dependencies = [("sessions_app", "0008_insights"), ("agents", "0006_publications_isolation")]

    operations = [
        SQLFile("sessions_app", "0009_isolation", before="0009_isolation_back"),
        SQLFile("sessions_app", "0009_triggers", before="0009_triggers_back"),
    ]
