from django.db import migrations, models

MOST_BEFORE = "999999.99999999"


class Migration(migrations.Migration):
    """Let a budget count more than a million dollars; a wider numeric rewrites no row."""

    dependencies = [("accounts", "0014_attempt_rates")]

    operations = [
        # Django makes it for every key of text; nobody looks a subject up by its beginning.
        migrations.RunSQL(
            "DROP INDEX IF EXISTS attempt_rates_subject_1689dd05_like", migrations.RunSQL.noop
        ),
        *(
            operation
            for name in ("spent", "reserved")
            for operation in (
                migrations.AlterField(
                    model_name="budget",
                    name=name,
                    field=models.DecimalField(
                        db_default=0, decimal_places=8, editable=False, max_digits=20
                    ),
                ),
                # On the way back, what the narrower column cannot hold becomes the most that it can.
                migrations.RunSQL(
                    migrations.RunSQL.noop,
                    f"UPDATE budgets SET {name} = {MOST_BEFORE} WHERE {name} > {MOST_BEFORE}",  # noqa: S608 - all ours
                ),
            )
        ),
    ]
