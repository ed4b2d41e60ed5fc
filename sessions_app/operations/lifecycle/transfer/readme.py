"""The archive's README.txt, which explains it to people."""

from __future__ import annotations

from datetime import datetime

from accounts.models import Account
from sessions_app.operations.lifecycle.transfer.tables import HIDDEN, LEFT_OUT

_TEXT = """\
The account {name} ({slug}) of Salient, exported {moment:%Y-%m-%d %H:%M} UTC.

data/TABLE.jsonl        one JSON object a line, one line a row, with the ids that it had.
                        sessions: conversations; messages: what was said in them; llm_requests:
                        the turns with tokens and costs; usage_days: figures by day;
                        config_publications: published configurations; prompt_sections: what
                        agents were told; audit_log: who did what.
data/people.jsonl       the members' names and e-mail addresses.
config/AGENT/           the agents' configuration files.
manifest.json           how many rows each file has, its SHA-256, the version that wrote it.

It holds personal data. Times are in UTC; costs are in US dollars; ids are UUIDs.
Import it elsewhere with: manage.py import_account FILE

Tables that are not in it:
{tables}

Columns that are not in it, because they are secrets or belong to one installation:
{columns}
"""


def readme(account: Account, moment: datetime) -> str:
    return _TEXT.format(
        name=account.name,
        slug=account.slug,
        moment=moment,
        tables="\n".join(f"  {name}: {why}" for name, why in sorted(LEFT_OUT.items())),
        columns="\n".join(
            f"  {name}: {', '.join(sorted(columns))}" for name, columns in sorted(HIDDEN.items())
        ),
    )
