from django.db import migrations

HASH = """
    UPDATE sessions SET session_key = encode(sha256(convert_to(session_key, 'UTF8')), 'hex')
    WHERE session_key !~ '^[0-9a-f]{64}$'
"""


class Migration(migrations.Migration):
    """Keys from before are stored as SHA-256, as all keys are today: a stolen table opens nothing.

    A key that already has that form stays, whoever wrote it: so the migration may run again, and it
    opens nothing either, because the server hashes what a client brings and adopts no old cookie.
    The way back changes nothing: a hash has none, and the code from before makes new sessions.
    """

    dependencies = [("sessions_app", "0006_isolation")]
    operations = [migrations.RunSQL(HASH, migrations.RunSQL.noop)]
