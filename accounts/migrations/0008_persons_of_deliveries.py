from django.db import migrations, models
from django.db.models.fields.json import KeyTextTransform

from salient.database.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Find what deliveries hold of a person by the session, to delete it with that."""

    atomic = False
    dependencies = [("accounts", "0007_rates_of_calls")]

    operations = [
        AddIndexConcurrently(
            "webhookdelivery",
            models.Index(
                models.F("account"),
                KeyTextTransform("session_id", "data"),
                condition=models.Q(("data__has_key", "end_user")),
                name="ix_webhook_deliveries_person",
            ),
        )
    ]
