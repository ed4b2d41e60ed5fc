from django.db import migrations, models

from salient.database.indexes import AddIndexConcurrently, RemoveIndexConcurrently


# An agent is of one account: without knowing that, the planner expects next to no rows of both.
STATISTICS = """
CREATE STATISTICS IF NOT EXISTS st_sessions_agent_of_account (dependencies)
    ON account_id, agent_instance_id FROM sessions
"""


class Migration(migrations.Migration):
    """Let an agent's conversations be read in their order; made while the platform goes on."""

    atomic = False
    dependencies = [("sessions_app", "0016_sum_days")]

    operations = [
        AddIndexConcurrently(
            "session",
            models.Index(
                fields=["account", "agent_instance", "-last_activity_at", "-id"],
                name="ix_sessions_instance_activity",
            ),
        ),
        RemoveIndexConcurrently("session", "ix_sessions_agent_instance"),
        migrations.RunSQL(STATISTICS, "DROP STATISTICS IF EXISTS st_sessions_agent_of_account"),
        migrations.RunSQL("ANALYZE sessions", migrations.RunSQL.noop),
    ]
