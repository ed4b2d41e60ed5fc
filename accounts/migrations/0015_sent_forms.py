import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    """Remember the forms that were acted on, so that none is acted on twice."""

    dependencies = [("accounts", "0014_names")]

    operations = [
        migrations.CreateModel(
            name="SentForm",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("leads_to", models.TextField()),
                ("said", models.TextField()),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={"db_table": "sent_forms"},
        ),
    ]
