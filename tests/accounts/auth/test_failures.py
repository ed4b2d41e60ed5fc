"""Wrong keys are counted by address: beyond a rate they cost nothing, and no right key suffers."""

from __future__ import annotations

import time
from datetime import timedelta
from http import HTTPStatus
from unittest import mock

from asgiref.sync import async_to_sync
from django.test import TestCase, override_settings
from django.utils import timezone

from accounts.auth import bearer, key_text, visitor_tokens
from accounts.models import ApiKey
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import change_all
from tests.support.factories import make_account, make_instance, make_key

HERE, THERE = "203.0.113.7", "198.51.100.9"


@override_settings(
    LIMIT_WRONG_KEYS_PER_MINUTE_PER_ADDRESS=3, TRUST_PROXY_HEADERS=True, TRUSTED_PROXIES=[]
)
class FailureTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        self.key, self.text = make_key(self.account)

    def call(self, text: str, address: str = HERE, path: str = "me") -> Answer:
        client = ApiClient(text, headers={"x-forwarded-for": address})
        return async_to_sync(client.get)(f"/accounts/acme/{path}")

    def wrong(self) -> str:
        return key_text.new_key().text

    def exhaust(self, address: str = HERE) -> None:
        for _ in range(3):
            self.assertEqual(self.call(self.wrong(), address).status, HTTPStatus.UNAUTHORIZED)

    def test_beyond_the_rate_a_wrong_key_is_told_when_to_try_again(self) -> None:
        self.exhaust()
        refused = self.call(self.wrong())

        self.assertEqual(refused.status, HTTPStatus.TOO_MANY_REQUESTS)
        self.assertEqual(refused.json()["code"], "too_many_attempts")
        self.assertEqual(refused.headers["retry-after"], "20")

    def test_then_no_wrong_key_is_looked_up(self) -> None:
        self.exhaust()
        with mock.patch.object(bearer, "find_api_key") as find:
            self.call(self.wrong())

        find.assert_not_called()

    def test_a_right_key_works_from_another_address(self) -> None:
        self.exhaust()

        self.assertEqual(self.call(self.text, THERE).status, HTTPStatus.OK)

    def test_a_key_that_was_right_here_goes_on_working_here(self) -> None:
        self.assertEqual(self.call(self.text).status, HTTPStatus.OK)
        self.exhaust()
        bearer.forget(self.key.key_id)

        self.assertEqual(self.call(self.text).status, HTTPStatus.OK)

    def test_so_does_one_that_another_address_used_before(self) -> None:
        self.assertEqual(self.call(self.text, THERE).status, HTTPStatus.OK)
        self.assertEqual(self.call(self.text).status, HTTPStatus.OK)
        self.exhaust()
        bearer.forget(self.key.key_id)

        self.assertEqual(self.call(self.text).status, HTTPStatus.OK)

    def test_a_right_key_is_told_from_a_wrong_one_by_nothing_but_itself(self) -> None:
        """From a refused address, a key that another address uses is no different from none."""
        self.call(self.text, THERE)
        self.exhaust()
        guessed = self.text[:-7] + ("A" if self.text[-7] != "A" else "B")
        guessed += key_text._checksum(guessed)
        known, unknown = self.call(guessed), self.call(self.wrong())

        self.assertEqual(known.status, HTTPStatus.TOO_MANY_REQUESTS)
        self.assertEqual(known, unknown)

    def test_mistyped_keys_and_forged_tokens_count_as_well(self) -> None:
        answers = [self.call(text) for text in ("sal_sk_x", "sal_vt_x.y", "sal_pt_x.y", "sal_sk_x")]

        self.assertEqual([each.status for each in answers], [401, 401, 401, 429])

    def test_what_was_right_once_does_not_count(self) -> None:
        change_all(ApiKey, revoked_at=timezone.now() - timedelta(seconds=1))
        answers = [self.call(self.text) for _ in range(6)]

        self.assertEqual({each.status for each in answers}, {HTTPStatus.UNAUTHORIZED})
        _, other = make_key(self.account)
        self.assertEqual(self.call(other).status, HTTPStatus.OK)

    def test_nor_does_a_visitors_token_whose_key_was_revoked(self) -> None:
        bot = make_instance(self.account, "bot")
        text = visitor_tokens.write_token(
            visitor_tokens.new_token(self.key.key_id, bot.pk, seconds=60)
        )
        change_all(ApiKey, revoked_at=timezone.now() - timedelta(seconds=1))
        answers = [self.call(text) for _ in range(6)]

        self.assertEqual({each.status for each in answers}, {HTTPStatus.UNAUTHORIZED})
        _, other = make_key(self.account)
        self.assertEqual(self.call(other).status, HTTPStatus.OK)

    def test_a_good_token_is_never_refused_for_others_failures(self) -> None:
        bot = make_instance(self.account, "bot")
        token = visitor_tokens.new_token(self.key.key_id, bot.pk, seconds=60)
        self.exhaust()

        self.assertEqual(self.call(visitor_tokens.write_token(token)).status, HTTPStatus.OK)

    def test_without_a_key_nothing_counts(self) -> None:
        client = ApiClient(headers={"x-forwarded-for": HERE})
        for _ in range(6):
            answer = async_to_sync(client.get)("/accounts/acme/me")
            self.assertEqual(answer.status, HTTPStatus.UNAUTHORIZED)

    def test_of_ipv6_a_whole_64_is_one_address(self) -> None:
        for number in range(3):
            self.call(self.wrong(), f"2001:db8::{number}")

        self.assertEqual(self.call(self.wrong(), "2001:db8::9").status, 429)
        self.assertEqual(self.call(self.wrong(), "2001:db8:0:1::9").status, 401)

    def test_the_rate_fills_up_again(self) -> None:
        self.exhaust()
        later = time.monotonic_ns() + 20 * 10**9
        with mock.patch.object(time, "monotonic_ns", return_value=later):
            answers = [self.call(self.wrong()).status for _ in range(2)]

        self.assertEqual(answers, [HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS])
