import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.functions
from django.db import migrations

from salient.database.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Find conversations by what was said; made while the platform goes on writing.

    This migration was changed once: of each text it takes the first 50,000 characters. Before, one
    longer message of an adopted database could stop it for good. Where it ran in its old form, the
    index is replaced by 0024_message_text_start.
    """

    atomic = False
    dependencies = [("sessions_app", "0009_insights_isolation")]

    operations = [
        AddIndexConcurrently(
            model_name="message",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.search.SearchVector(
                    django.db.models.functions.Left("content", 50_000), config="simple"
                ),
                name="ix_messages_text",
            ),
        ),
    ]
