from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import connection
from django.test import TransactionTestCase

from accounts.auth.caller import Caller
from accounts.members import members
from accounts.members.members import SCOPES_OF, LastOwner
from accounts.models import MemberRole, Membership
from accounts.tenancy.context import tenant_context
from tests.accounts.member_fixtures import make_member, roles_in
from tests.support.factories import make_account


class ParallelTests(TransactionTestCase):
    """Two owners at once, each in a transaction of its own, on a connection of its own."""

    def setUp(self) -> None:
        self.acme = make_account("acme")
        self.first = make_member(self.acme, MemberRole.OWNER, "first@a.example")
        self.second = make_member(self.acme, MemberRole.OWNER, "second@a.example")

    def caller(self, who: Membership) -> Caller:
        return Caller(
            account_id=self.acme.pk,
            account_slug="acme",
            scopes=SCOPES_OF[MemberRole.OWNER],
            role=MemberRole.OWNER,
            user_id=who.user_id,
        )

    def at_once(self, *deeds: Callable[[], object]) -> list[object]:
        """Start all actions while the account is locked, so that they wait at the same time."""
        results: list[object] = []
        threads = [threading.Thread(target=self.do, args=(deed, results)) for deed in deeds]
        with tenant_context(self.acme.pk):
            members.take_turns(self.acme.pk)
            for thread in threads:
                thread.start()
            self.wait_until_blocked(len(threads))
        for thread in threads:
            thread.join(20)
        return results

    def do(self, deed: Callable[[], object], results: list[object]) -> None:
        try:
            deed()
            results.append("done")
        except Exception as error:
            results.append(type(error))
        finally:
            connection.close()

    def wait_until_blocked(self, number: int) -> None:
        waiting = 0
        while waiting < number:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = "
                    "current_database())"
                )
                [waiting] = cursor.fetchone()

    def test_two_owners_who_leave_at_once_leave_one(self) -> None:
        results = self.at_once(
            lambda: members.remove(self.caller(self.first), self.first.pk),
            lambda: members.remove(self.caller(self.second), self.second.pk),
        )

        self.assertCountEqual(results, ["done", LastOwner])
        self.assertEqual(list(roles_in(self.acme).values()), ["owner"])

    def test_two_owners_who_step_down_at_once_leave_one(self) -> None:
        results = self.at_once(
            *(
                lambda who=who: members.change_role(self.caller(who), who.pk, MemberRole.ADMIN)
                for who in (self.first, self.second)
            )
        )

        self.assertCountEqual(results, ["done", LastOwner])
        self.assertCountEqual(roles_in(self.acme).values(), ["owner", "admin"])

    def test_of_two_owners_who_remove_each_other_one_stays(self) -> None:
        results = self.at_once(
            lambda: members.remove(self.caller(self.first), self.second.pk),
            lambda: members.remove(self.caller(self.second), self.first.pk),
        )

        self.assertEqual(len(results), 2)
        self.assertIn("done", results)
        self.assertEqual(list(roles_in(self.acme).values()), ["owner"])
