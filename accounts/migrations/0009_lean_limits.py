from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Take and release limits with less work for each turn."""

    dependencies = [("accounts", "0008_persons_of_deliveries")]

    operations = [
        SQLFile("accounts", "0009_app_take_limits", before="0001_app_take_limits"),
        SQLFile("accounts", "0009_app_release_limits", before="0006_app_release_limits"),
    ]
