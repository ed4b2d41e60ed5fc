from django.db import migrations, models
from django.db.models.functions import Collate, Lower


class Migration(migrations.Migration):
    """Find people by how their names begin."""

    dependencies = [("accounts", "0013_addresses")]

    operations = [
        migrations.AddIndex(
            "user",
            models.Index(Collate(Lower("first_name"), "C"), name="ix_users_first_name_start"),
        ),
        migrations.AddIndex(
            "user",
            models.Index(Collate(Lower("last_name"), "C"), name="ix_users_last_name_start"),
        ),
    ]
