from django.db import migrations

# Each turn writes these rows: room in their pages lets PostgreSQL write the new version beside the
# old one, touch no index, and clear the old one away with the next look.
ROOM = "ALTER TABLE {} SET (fillfactor = 50)"
NO_ROOM = "ALTER TABLE {} RESET (fillfactor)"


class Migration(migrations.Migration):
    """Keep what every turn of an account writes cheap to write."""

    dependencies = [("accounts", "0007_audit_triggers")]

    operations = [
        migrations.RemoveIndex(model_name="ratestate", name="ix_rate_states_arrival"),
        *(
            migrations.RunSQL(ROOM.format(table), NO_ROOM.format(table))
            for table in ("account_limits", "budgets", "rate_states")
        ),
    ]
