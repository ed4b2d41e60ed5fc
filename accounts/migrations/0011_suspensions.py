from django.db import migrations, models

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Let accounts and keys be suspended for a reason, which the audit log records."""

    dependencies = [("accounts", "0010_refusal_days")]

    operations = [
        *(
            migrations.AddField(
                name,
                "suspended_reason",
                models.TextField(blank=True, db_default="", default="", editable=False),
            )
            for name in ("account", "apikey")
        ),
        SQLFile("accounts", "0011_triggers", before="0011_triggers_back"),
        SQLFile("accounts", "0011_app_find_api_key", before="0001_app_find_api_key"),
    ]
