from django.db import migrations

# All of them were set by the platform's staff.
FROM_LIMITS = """
    UPDATE account_limits SET granted = jsonb_strip_nulls(jsonb_build_object(
        'requests_per_minute', requests_per_minute,
        'requests_per_minute_per_key', requests_per_minute_per_key,
        'requests_per_minute_per_visitor', requests_per_minute_per_visitor,
        'requests_per_minute_per_network', requests_per_minute_per_network,
        'concurrent_turns', concurrent_turns,
        'message_bytes', message_bytes,
        'history_messages', history_messages,
        'output_tokens', output_tokens
    ))
"""


class Migration(migrations.Migration):
    """Keep what staff have set so far as the most that an account's owners may set themselves."""

    dependencies = [("accounts", "0018_scopes_and_grants")]

    operations = [
        migrations.RunSQL(FROM_LIMITS, migrations.RunSQL.noop, elidable=True),
        migrations.RunSQL(
            'UPDATE budgets SET granted = "limit"', migrations.RunSQL.noop, elidable=True
        ),
    ]
