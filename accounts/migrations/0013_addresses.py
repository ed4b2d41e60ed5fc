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
        # Only words of pages: "member" of a membership, "agent" of an agent instance.
        migrations.AlterModelOptions(
            "membership", {"ordering": ["created_at"], "verbose_name": "member"}
        ),
        migrations.AlterField(
            "apikey",
            "instance_ids",
            ArrayField(
                models.UUIDField(), blank=True, default=list, help_text="Empty: every agent."
            ),
        ),
    ]
