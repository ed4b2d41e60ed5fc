from django.db import migrations, models

from salient.database.key_changes import ReplaceUnique


class Migration(migrations.Migration):
    """Make the index by which 0028's functions find a visitor's session; made while servers go on."""

    atomic = False
    dependencies = [("sessions_app", "0026_longer_model_names")]

    operations = [
        ReplaceUnique(
            "session",
            models.UniqueConstraint(
                models.F("session_key"), models.F("account"), name="uq_sessions_session_key_account"
            ),
        ),
    ]
