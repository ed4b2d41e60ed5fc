"""Creates a tenant in a migrated database: an account, an agent, a key, limits, budgets.

Everything is made by Salient's own commands, except long conversations, which are inserted.
"""

from __future__ import annotations

import json
import os
import sys
from io import StringIO
from pathlib import Path
from typing import Any

ACCOUNT, INSTANCE = "bench", "bot"
HISTORY_LIMIT = 10
CONFIG = f"""\
model: openai:gpt-4o-mini
system_prompt: You are a friendly assistant. Answer briefly and plainly.
history_limit: {HISTORY_LIMIT}
# Longer than a stream waits in any scenario.
timeouts: {{first_token: 150}}
"""
# Limits and budgets are checked at every turn and never refuse one.
NO_END = "10000000"
MANY_TURNS = "100000"
_SESSIONS = """
    INSERT INTO sessions (id, account_id, account_slug, agent_instance_id, agent_instance_slug,
        session_key, is_anonymous)
    SELECT gen_random_uuid(), i.account_id, a.slug, i.id, i.instance_slug,
        replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), true
    FROM agent_instances i JOIN accounts a ON a.id = i.account_id
        CROSS JOIN generate_series(1, %s)
    WHERE a.slug = %s AND i.instance_slug = %s
    RETURNING id
"""
_MESSAGES = """
    INSERT INTO messages (id, account_id, agent_instance_id, session_id, role, content, created_at)
    SELECT uuidv7((n - %(count)s - 1) * interval '1 second'), s.account_id, s.agent_instance_id,
        s.id, CASE n %% 2 WHEN 1 THEN 'human' ELSE 'assistant' END, 'This is message ' || n,
        now() + (n - %(count)s - 1) * interval '1 second'
    FROM sessions s CROSS JOIN generate_series(1, %(count)s) n WHERE s.id = ANY(%(sessions)s)
"""


def command(name: str, *arguments: str) -> dict[str, Any]:
    """Run one of Salient's commands and read its report."""
    from django.core.management import call_command  # noqa: PLC0415 - after Django is set up

    output = StringIO()
    call_command(name, *arguments, "--json", stdout=output)
    report: dict[str, Any] = json.loads(output.getvalue())
    return report


def create_tenant(config: Path) -> str:
    """Create the account with everything that a turn needs; returns the text of its key."""
    config.write_text(CONFIG)
    command("create_account", ACCOUNT)
    command("create_instance", ACCOUNT, INSTANCE, "--config", str(config), "--force")
    rates = ("requests-per-minute", "requests-per-minute-per-key")
    limits = [part for rate in rates for part in (f"--{rate}", NO_END)]
    command("set_limits", ACCOUNT, *limits, "--concurrent-turns", MANY_TURNS)
    command("set_budget", ACCOUNT, "--period", "day", "--limit", "90000")
    command("set_budget", ACCOUNT, "--period", "month", "--limit", "90000")
    command("set_budget", ACCOUNT, "--instance", INSTANCE, "--period", "month", "--limit", "90000")
    return str(command("create_key", ACCOUNT)["key"])


def long_sessions(sessions: int, messages: int) -> list[str]:
    """Insert conversations with that many messages each; returns their ids."""
    from django.db import connection  # noqa: PLC0415 - after Django is set up

    with connection.cursor() as cursor:
        cursor.execute(_SESSIONS, [sessions, ACCOUNT, INSTANCE])
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(_MESSAGES, {"count": messages, "sessions": ids})
    return [str(each) for each in ids]


def main() -> None:
    """The argument is the file for the agent's configuration; writes the key and ids as JSON."""
    import django  # noqa: PLC0415 - a script that needs the environment first

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")
    django.setup()
    made = {
        "key": create_tenant(Path(sys.argv[1])),
        "short": long_sessions(400, 10),
        "long": long_sessions(20, 10_000),
    }
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
