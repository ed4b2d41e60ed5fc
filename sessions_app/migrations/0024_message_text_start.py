import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.functions
from django.db import migrations

from salient.database.indexes import AddIndexConcurrently, RemoveIndexConcurrently


class Migration(migrations.Migration):
    """Index the beginning of each text, so that a text of any length can be stored.

    Made while the platform goes on writing. Servers that still run search without an index.
    """

    atomic = False
    dependencies = [("sessions_app", "0023_money_columns")]

    operations = [
        AddIndexConcurrently(
            model_name="message",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.search.SearchVector(
                    django.db.models.functions.Left("content", 50_000), config="simple"
                ),
                name="ix_messages_text_start",
            ),
        ),
        RemoveIndexConcurrently(model_name="message", name="ix_messages_text"),
    ]
