from django.db import migrations

from sessions_app.usage.rollup import COUNT_SESSIONS, INSERT_DAYS

HAS_TURNS = """
    EXISTS (SELECT FROM llm_requests
        WHERE llm_requests.session_id = sessions.id AND completion_status <> 'running')
"""


class Migration(migrations.Migration):
    """Count what happened before there were counters.

    The way back needs no step: what was counted stays true, and 0008's way back drops it.
    """

    dependencies = [("sessions_app", "0010_message_text")]
    operations = [
        migrations.RunSQL(
            [
                "DELETE FROM usage_days",
                INSERT_DAYS.format(which=""),
                COUNT_SESSIONS.format(which=HAS_TURNS),
            ],
            migrations.RunSQL.noop,
            elidable=True,
        ),
    ]
