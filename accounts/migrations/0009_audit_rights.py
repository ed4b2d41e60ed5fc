from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Record also who gives groups and permissions to whom."""

    dependencies = [
        ("accounts", "0008_hot_rows"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        SQLFile("accounts", "0009_triggers", before="0009_triggers_back"),
    ]
