from django.db import migrations

# The runs know their requests, and these their sessions.
MARK = """
    UPDATE sessions SET copied_from = chats.session_id, user_id = NULL
    FROM saved_chats AS chats
        JOIN saved_chat_runs AS runs ON runs.saved_chat_id = chats.id
        CROSS JOIN LATERAL jsonb_array_elements(runs.answers) AS answer
        JOIN llm_requests AS requests ON requests.id = (answer ->> 'llm_request_id')::uuid
    WHERE chats.session_id IS NOT NULL AND sessions.id = requests.session_id
        AND sessions.copied_from IS NULL
"""


class Migration(migrations.Migration):
    """Mark the sessions of the test chats that were run before."""

    dependencies = [("sessions_app", "0015_copies_index")]

    operations = [migrations.RunSQL(MARK, migrations.RunSQL.noop, elidable=True)]
