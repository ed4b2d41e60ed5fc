from django.db import migrations, models


class Migration(migrations.Migration):
    """How often somebody tried to log in, before any account is known."""

    dependencies = [("accounts", "0013_email_forms")]

    operations = [
        migrations.CreateModel(
            name="AttemptRate",
            fields=[
                (
                    "subject",
                    models.CharField(max_length=100, primary_key=True, serialize=False),
                ),
                ("arrival", models.DateTimeField()),
            ],
            options={"db_table": "attempt_rates"},
        ),
    ]
