from django.db import migrations, models


class Migration(migrations.Migration):
    """Let a budget count more than a million dollars; a wider numeric rewrites no row."""

    dependencies = [("accounts", "0014_attempt_rates")]

    operations = [
        migrations.AlterField(
            model_name="budget",
            name=name,
            field=models.DecimalField(
                db_default=0, decimal_places=8, editable=False, max_digits=20
            ),
        )
        for name in ("spent", "reserved")
    ]
