"""Measures the staff's lists on big tables: python -m benchmarks.admin_lists writes ADMIN.md.

Each page is requested as by a browser, through the whole admin; the time of its statements is
measured. Then everything is exported, and the memory of this process is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from benchmarks import cluster
from benchmarks.big_data import fill as big_data

DATABASE = "admin_lists"
REPORT = Path(__file__).parent / "ADMIN.md"
AUDIT_COUNT = 500_000


AUDIT_ENTRIES = """
    INSERT INTO audit_log (id, account_id, created_at, actor_kind, actor, action, object_type,
        object_id, object, changes)
    SELECT gen_random_uuid(), id, now() - n * interval '15 seconds', 'staff', 'ann@example.com',
        'changed', 'accounts', id::text, slug, '{"name": ["One", "Two"]}'
    FROM generate_series(1, %(notes)s) AS n
    JOIN (SELECT id, slug, row_number() OVER () AS place FROM accounts) AS a
        ON place = 1 + n %% (SELECT count(*) FROM accounts)
"""
FEEDBACK = """
    INSERT INTO message_feedback (id, account_id, agent_instance_id, session_id, message_id, rating,
        caller, created_at)
    SELECT gen_random_uuid(), account_id, agent_instance_id, session_id, id,
        CASE WHEN hashtext(id::text) % 3 = 0 THEN -1 ELSE 1 END, 'key:x', created_at
    FROM messages WHERE role = 'assistant' AND hashtext(id::text) % 10 = 0
"""


def prepare(requests: int) -> None:
    """Create the database and its rows, unless it exists."""
    with cluster.administrator() as administrator:
        found = administrator.execute(
            "SELECT FROM pg_database WHERE datname = %s", [DATABASE]
        ).fetchone()
    if found is None:
        cluster.make_database(DATABASE)
        call_command("migrate", verbosity=0)
        connection.close_pool()  # type: ignore[attr-defined]
        with cluster.administrator(DATABASE) as filling:
            size = big_data.Size(requests=requests, messages=requests // 5)
            big_data.fill(filling, size, big_data.say)
            filling.execute(AUDIT_ENTRIES, {"notes": AUDIT_COUNT})
            filling.execute(FEEDBACK)
            big_data.finish(filling)


def report(measured: Any, pages: list[Any], exported: list[str]) -> str:
    rows = ", ".join(f"{count:,} {table}" for table, count in measured.counted().items())
    return f"""# The staff's lists on big tables

Made by `python -m benchmarks.admin_lists` on {time.strftime("%Y-%m-%d")} with {rows}.
PostgreSQL with 512 MB of shared buffers, on a machine of {os.cpu_count()} shared cores. A deep page
begins after {measured.DEEP:.0%} of the rows. SQL is the time of all statements of a page, those of
the log-in and of the filters included, measured in the client process: the median and the worst
of {measured.ROUNDS} rounds, the first of them included. The goal is less than {measured.GOAL_MS} ms
for the median.

| list | page | statements | SQL, ms | worst, ms | goal |
|---|---|---|---|---|---|
{chr(10).join(page.line() for page in pages)}

All rows as CSV, page by page: the process's peak memory after 100,000 rows and at the end.

| export | rows | size | time | peak after 100,000 | peak at the end |
|---|---|---|---|---|---|
{chr(10).join(exported)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2_000_000)
    parser.add_argument("--keep", action="store_true", help="do not drop the database")
    options = parser.parse_args()
    cluster.start()
    os.environ |= {
        "DATABASE_URL": cluster.url(DATABASE),
        "SECRET_KEY": "benchmark",
        "DEBUG": "1",
        "DJANGO_SETTINGS_MODULE": "salient.settings",
    }
    django.setup()
    from benchmarks import admin_pages  # noqa: PLC0415 - after Django is set up

    settings.DEBUG, settings.ALLOWED_HOSTS = False, ["testserver"]
    prepare(options.requests)
    pages = admin_pages.all_pages()
    exported = asyncio.run(admin_pages.export())
    REPORT.write_text(report(admin_pages, pages, exported))
    if not options.keep:
        cluster.drop_database(DATABASE)


if __name__ == "__main__":
    main()
