"""What breaks a rule of test_architecture.py today, and how often.

The tests demand exactly this: a new offence fails, and so does a line here that is no longer true.
So the lists only get shorter.
"""

from collections.abc import Mapping
from typing import Final

KNOWN: Final[Mapping[str, Mapping[str, int]]] = {
    "imported by migrations": {
        "accounts.models.slugs": 2,
        "accounts.tenancy.roles": 1,
        "salient.api.origins": 1,
        "salient.database.constraints": 12,
        "salient.database.indexes": 5,
        "salient.database.key_changes": 1,
        "salient.database.sql_files": 20,
        "salient.ids": 7,
    },
    "upward relations": {},
    "upward model names": {
        # A budget's foreign key to its agent: the constraint belongs to the table `budgets`.
        "accounts/models/account.py": 1,
    },
    "upward URL names": {},
    "upward SQL": {
        "accounts/sql/app_count_budget.sql": 2,
        "accounts/sql/app_record_change.sql": 4,
        "accounts/sql/cluster/app_record.sql": 2,
        "accounts/sql/cluster/app_record_change.sql": 6,
        # Their own app_record_change, which migrations of the upper apps replaced once.
        "accounts/tenancy/distribution/findings.py": 2,
    },
    "queries outside subjects": {},
    "long files": {},
    "long functions": {},
    "repeated prefixes": {},
    "entries of a package": {
        "salient": 16,
        # Django finds an app's commands in one folder only.
        "sessions_app/management/commands": 15,
        # The tests of one package, sessions_app/turns, whose sub-packages they would mirror.
        "tests/sessions_app/turns": 17,
    },
    "tests that import tests": {},
}
