from django.db import migrations, models
from django.db.models import Q

from accounts.tenancy import audit_triggers

COLUMNS = [
    *("name", "scopes", "instance_ids", "origins", "networks", "expires_at", "revoked_at"),
    *("rotated_at", "secret_hash"),
]
WITHOUT_OFFERS = audit_triggers.recorded(
    "api_keys", columns=COLUMNS, label="name", ignored=["last_used_at"], secret=["secret_hash"]
)


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
        # What the trigger keeps silent about is said when it is made.
        migrations.RunSQL(WITHOUT_OFFERS.reverse_sql, WITHOUT_OFFERS.sql),
        audit_triggers.recorded(
            "api_keys",
            columns=[*COLUMNS, "taker", "offer_expires_at", "support_access_id"],
            label="name",
            ignored=["last_used_at"],
            secret=["secret_hash", "offer_hash"],
        ),
    ]
