from django.db import migrations, models

from accounts.tenancy import audit_triggers

PERSONAL = [
    *("customer_name", "phone", "email", "address_street", "address_city", "address_state"),
    *("address_zip", "products_of_interest", "services_of_interest", "preferences"),
]


class Migration(migrations.Migration):
    """Sessions know whose words they say again, and the audit log who changes profiles."""

    dependencies = [
        ("sessions_app", "0017_instance_activity"),
        ("accounts", "0012_key_offers"),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="copied_from",
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
        audit_triggers.recorded(
            "profiles",
            columns=PERSONAL,
            label="session_id",
            # They are a person's own, who may have them deleted; the log stays.
            secret=PERSONAL,
        ),
    ]
