from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Lower

from salient.database.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    """Find conversations by a person's address, however it was typed; made while turns go on."""

    atomic = False
    dependencies = [("sessions_app", "0015_agents_by_one_name")]

    operations = [
        AddIndexConcurrently(
            "session",
            models.Index(
                Lower("email"), name="ix_sessions_address", condition=Q(email__isnull=False)
            ),
        ),
        AddIndexConcurrently(
            "profile",
            models.Index(Lower("email"), name="ix_profiles_address"),
        ),
    ]
