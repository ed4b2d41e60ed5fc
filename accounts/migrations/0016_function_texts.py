from django.db import migrations

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Install the functions as accounts/sql has them: the words are new, what they do is not."""

    dependencies = [("accounts", "0015_budget_amounts")]

    operations = [
        SQLFile("accounts", "0016_app_current_account", before="0004_app_current_account"),
        SQLFile("accounts", "0016_app_find_account", before="0004_app_find_account"),
        SQLFile("accounts", "0016_app_find_api_key", before="0004_app_find_api_key"),
        SQLFile("accounts", "0016_app_record_change", before="0011_app_record_change"),
        SQLFile("accounts", "0016_app_take_limits", before="0010_app_take_limits"),
        SQLFile("accounts", "0016_app_release_limits", before="0010_app_release_limits"),
        SQLFile("accounts", "0016_app_count_budget", before="0005_app_count_budget"),
    ]
