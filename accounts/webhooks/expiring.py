"""The event key.expiring: which API keys end soon."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.db import connection

from accounts.tenancy.context import platform_context

# A key that lives for a shorter time than the second ends soon from the beginning.
SOON: Final = timedelta(days=7)
LONG_LIVED: Final = timedelta(days=14)
# The message is named by the key and its end, so that no run writes it twice. A row of the log is
# kept for longer than SOON.
PUBLISH: Final = """
    SELECT app_publish(
        account_id,
        'key.expiring',
        'msg_' || md5(concat_ws('/', 'key.expiring', id, extract(epoch FROM expires_at))),
        jsonb_build_object(
            'key_id', id,
            'public_id', key_id,
            'kind', kind,
            'mode', mode,
            'expires_at', to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            'last_used_at', to_char(last_used_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        )
    )
    FROM api_keys
    WHERE expires_at > now() AND expires_at < now() + %s AND expires_at - created_at > %s
        AND revoked_at IS NULL AND rotated_at IS NULL AND secret_hash <> ''
"""


def warn_of_keys() -> int:
    """Write the event for each such key whose account asks for it; return the number of keys."""
    with platform_context(), connection.cursor() as cursor:
        # The stubs know no timedelta; psycopg makes an interval of it.
        values: list[Any] = [SOON, LONG_LIVED]
        cursor.execute(PUBLISH, values)
        return int(cursor.rowcount)
