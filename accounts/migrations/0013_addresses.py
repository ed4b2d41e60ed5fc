from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models.functions import Collate, Lower


class Migration(migrations.Migration):
    """Find people and the invited by their address, or by how it begins."""

    dependencies = [("accounts", "0012_renames")]

    operations = [
        migrations.AddIndex(
            "user", models.Index(Collate(Lower("email"), "C"), name="ix_users_email_start")
        ),
        migrations.AddIndex(
            "invitation", models.Index(Lower("email"), name="ix_invitations_email")
        ),
        # Only its help: pages say "agent" of what is an agent instance here.
        migrations.AlterField(
            "apikey",
            "instance_ids",
            ArrayField(
                models.UUIDField(), blank=True, default=list, help_text="Empty: every agent."
            ),
        ),
    ]
