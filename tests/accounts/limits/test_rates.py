"""The rate limits are GCRA, to the microsecond, and the headers tell the truth about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from django.test import SimpleTestCase, TestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.auth.caller import Caller
from accounts.limits import quotas
from accounts.limits.quotas import RateLimited, Reservation
from accounts.limits.rates import Rate, headers, tightest
from accounts.models import RateState
from accounts.tenancy.context import platform_context, tenant_context
from salient.ttl import clear_caches
from tests.support.factories import make_account, make_instance

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
MINUTE = 60_000_000


class Bucket:
    """The reference: a leaking bucket of `quota` calls, in whole microseconds."""

    def __init__(self, quota: int) -> None:
        self.drop = -(-MINUTE // quota)
        self.size = quota * self.drop
        self.level = 0

    def leak(self, microseconds: int) -> None:
        self.level = max(0, self.level - microseconds)

    def pour(self) -> bool:
        fits = self.level + self.drop <= self.size
        if fits:
            self.level += self.drop
        return fits

    @property
    def room(self) -> int:
        return (self.size - self.level) // self.drop


class RateTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        self.instance = make_instance(self.account, "bot")

    def caller(self, subject: str = "", **more: object) -> Caller:
        subject = subject or f"key:{uuid4()}"
        return Caller(self.account.pk, "acme", frozenset({"chat"}), subject, **more)  # type: ignore[arg-type]

    def call(self, caller: Caller, at: datetime) -> Reservation:
        with tenant_context(self.account.pk):
            return quotas.reserve(caller, self.instance.pk, turn=False, at=at)

    def test_it_allows_exactly_the_calls_of_a_leaking_bucket(self) -> None:
        @settings(max_examples=25, deadline=None)
        @given(
            quota=st.integers(1, 7),
            pauses=st.lists(
                st.one_of(st.just(0), st.integers(0, 3 * MINUTE), st.sampled_from([MINUTE // 7])),
                min_size=1,
                max_size=25,
            ),
        )
        def check(quota: int, pauses: list[int]) -> None:
            quotas.set_limits(self.account, requests_per_minute_per_key=quota)
            caller, bucket, now = self.caller(), Bucket(quota), NOON
            with platform_context():
                RateState.objects.filter(account_id=self.account.pk).delete()
            for pause in pauses:
                now += timedelta(microseconds=pause)
                bucket.leak(pause)
                fits = bucket.pour()
                try:
                    rates = self.call(caller, now).rates
                except RateLimited as refused:
                    self.assertFalse(fits)
                    self.assertGreater(int(refused.headers["Retry-After"]), 0)
                else:
                    self.assertTrue(fits)
                    self.assertEqual(rates[1].remaining, bucket.room)

        check()

    def test_a_refused_call_takes_nothing_of_any_limit(self) -> None:
        quotas.set_limits(self.account, requests_per_minute=100, requests_per_minute_per_key=1)
        caller = self.caller()
        before = self.call(caller, NOON).rates[0].remaining
        for _ in range(5):
            with self.assertRaises(RateLimited):
                self.call(caller, NOON)

        other = self.call(self.caller(), NOON).rates[0]
        self.assertEqual(other.remaining, before - 1)

    def test_retry_after_is_true(self) -> None:
        quotas.set_limits(self.account, requests_per_minute_per_key=7)
        caller = self.caller()
        for _ in range(7):
            self.call(caller, NOON)
        with self.assertRaises(RateLimited) as refused:
            self.call(caller, NOON)
        wait = int(refused.exception.headers["Retry-After"])

        with self.assertRaises(RateLimited):
            self.call(caller, NOON + timedelta(seconds=wait - 1))
        self.call(caller, NOON + timedelta(seconds=wait))

    def test_as_many_calls_succeed_as_the_header_says(self) -> None:
        quotas.set_limits(self.account, requests_per_minute=9, requests_per_minute_per_key=6)
        caller = self.caller()
        header = self.call(caller, NOON).headers["RateLimit"]
        self.assertEqual(header, '"key";r=5;t=10')
        for _ in range(5):
            self.call(caller, NOON)
        with self.assertRaises(RateLimited) as refused:
            self.call(caller, NOON)

        self.assertEqual(refused.exception.headers["RateLimit"], '"key";r=0;t=10')
        self.assertEqual(
            refused.exception.headers["RateLimit-Policy"], '"account";q=9;w=60, "key";q=6;w=60'
        )

    def test_people_of_one_network_share_its_limit_and_keys_do_not(self) -> None:
        quotas.set_limits(self.account, requests_per_minute_per_network=3)
        for number in range(3):
            person = self.caller(
                f"visitor:{number}", session_key=str(number), network="192.0.2.0/24"
            )
            self.call(person, NOON)
        fresh = self.caller("visitor:9", session_key="9", network="192.0.2.0/24")
        with self.assertRaises(RateLimited) as refused:
            self.call(fresh, NOON)

        self.assertEqual(refused.exception.members["policy"], "network")
        self.call(self.caller("visitor:9", session_key="9", network="198.51.100.0/24"), NOON)
        self.call(self.caller(network="192.0.2.0/24"), NOON)

    def test_accounts_do_not_count_together(self) -> None:
        quotas.set_limits(self.account, requests_per_minute=1)
        self.call(self.caller(), NOON)
        other = make_account("beta")
        stranger = Caller(other.pk, "beta", frozenset(), "key:1")
        bot = make_instance(other, "bot")
        with tenant_context(other.pk):
            reservation = quotas.reserve(stranger, bot.pk, turn=False, at=NOON)

        self.assertEqual(reservation.rates[0].remaining, 599)

    def test_a_refused_caller_is_refused_without_a_query_while_the_rate_refuses(self) -> None:
        quotas.set_limits(self.account, requests_per_minute_per_key=1)
        caller = self.caller()
        self.call(caller, datetime.now(UTC))
        with self.assertRaises(RateLimited):
            self.call(caller, datetime.now(UTC))
        with self.assertNumQueries(0), self.assertRaises(RateLimited) as refused:
            quotas.refuse_at_once(caller)
        self.assertLessEqual(int(refused.exception.headers["Retry-After"]), 60)

        clear_caches()
        quotas.refuse_at_once(caller)

    def test_rate_states_that_are_back_at_zero_are_deleted(self) -> None:
        caller = self.caller()
        self.call(caller, NOON)

        self.assertEqual(quotas.forget_past_rates(NOON), 0)
        self.assertEqual(quotas.forget_past_rates(NOON + timedelta(minutes=2)), 2)


class HeaderTests(SimpleTestCase):
    def test_the_tightest_limit_is_in_the_header(self) -> None:
        wide, tight = Rate.of("account", 600).after_calls(), Rate.of("key", 2).after_calls()

        self.assertEqual(tightest([wide, tight]), tight)
        self.assertEqual(
            headers([wide, tight]),
            {
                "RateLimit-Policy": '"account";q=600;w=60, "key";q=2;w=60',
                "RateLimit": '"key";r=1;t=30',
            },
        )

    def test_a_hardly_used_limit_is_whole_again_at_once(self) -> None:
        found = headers([Rate.of("account", 600).after_calls()])

        self.assertEqual(found["RateLimit"], '"account";r=599;t=1')
