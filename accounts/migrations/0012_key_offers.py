from django.db import migrations, models
from django.db.models import Q

from salient.database.sql_files import SQLFile


class Migration(migrations.Migration):
    """Keys that wait for the person who takes them, and keys that end with a support access."""

    dependencies = [("accounts", "0011_audit_order")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="support_access_id",
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="taker",
            field=models.EmailField(blank=True, db_default="", editable=False, max_length=254),
        ),
        migrations.AddField(
            model_name="apikey",
            name="offer_hash",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="apikey",
            name="offer_expires_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=Q(support_access_id=None) | Q(expires_at__isnull=False),
                name="ck_api_keys_support_access",
            ),
        ),
        SQLFile("accounts", "0012_triggers", before="0012_triggers_back"),
    ]
