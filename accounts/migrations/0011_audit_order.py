from django.db import migrations

from accounts.tenancy import audit_triggers


class Migration(migrations.Migration):
    """Date entries by the clock, so that they read in order, and name members by their person.

    The way back needs no step: 0007 makes the same function today, and its way back drops it.
    """

    dependencies = [("accounts", "0010_limits_together")]

    operations = [migrations.RunSQL(audit_triggers.RECORD, migrations.RunSQL.noop)]
