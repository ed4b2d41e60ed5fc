from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Let agents and connections be suspended for a reason, which the audit log records."""

    dependencies = [("agents", "0001_agents")]

    operations = [
        *(
            migrations.AddField(
                name,
                "suspended_reason",
                models.TextField(blank=True, db_default="", default="", editable=False),
            )
            for name in ("agentinstance", "providerconnection")
        ),
        SQLFile("agents", "0002_triggers", before="0002_triggers_back"),
    ]
