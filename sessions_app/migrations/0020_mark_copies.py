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


# What Django's own log called the profiles that staff corrected was the person.
FORGET = """
    UPDATE django_admin_log SET object_repr = 'profile ' || object_id
    FROM django_content_type AS types
    WHERE types.id = content_type_id AND types.app_label = 'sessions_app'
        AND types.model = 'profile'
"""


class Migration(migrations.Migration):
    """Mark the sessions of the test chats that were run before; name no person where staff look."""

    dependencies = [
        ("sessions_app", "0019_copies_index"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.RunSQL(MARK, migrations.RunSQL.noop, elidable=True),
        migrations.RunSQL(FORGET, migrations.RunSQL.noop, elidable=True),
    ]
