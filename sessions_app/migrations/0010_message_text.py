import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations

from salient.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Find conversations by what was said; made while the platform goes on writing."""

    atomic = False
    dependencies = [("sessions_app", "0009_insights_isolation")]

    operations = [
        AddIndexConcurrently(
            model_name="message",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.search.SearchVector("content", config="simple"),
                name="ix_messages_text",
            ),
        ),
    ]
