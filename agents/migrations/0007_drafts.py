from django.db import migrations, models
from django.db.models.functions import Now

# On the way back, what was only tried out counts as served when it was made.
TRIED = "UPDATE config_versions SET last_served_at = created_at WHERE last_served_at IS NULL"


class Migration(migrations.Migration):
    """Versions that were only tried out, and the publication that a draft started from."""

    dependencies = [("agents", "0006_publications_isolation")]

    operations = [
        migrations.AddField("configdraft", "base", models.IntegerField(default=0, db_default=0)),
        migrations.AlterField(
            "configversion",
            "last_served_at",
            models.DateTimeField(db_default=Now(), editable=False, null=True),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, TRIED),
    ]
