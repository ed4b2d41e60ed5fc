from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Row-level security on drafts and publications, and the audit of what agents are."""

    dependencies = [("agents", "0005_publications"), ("accounts", "0007_audit_triggers")]

    operations = [
        SQLFile("agents", "0006_isolation", before="0006_isolation_back"),
        SQLFile("agents", "0006_triggers", before="0006_triggers_back"),
    ]
