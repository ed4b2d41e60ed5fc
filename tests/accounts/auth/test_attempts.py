"""Logging in: how often one may try, and how many passwords are checked at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

from django.contrib.auth.hashers import Argon2PasswordHasher, check_password, make_password
from django.core import mail
from django.db import connection
from django.test import Client, SimpleTestCase, TestCase, TransactionTestCase, override_settings
from django.utils import timezone

from accounts.auth import attempts, hashing
from accounts.auth.attempts import Allowance, AttemptRate, TooManyAttempts
from accounts.auth.hashing import HashingBusy
from salient.database import give_back
from tests.support.factories import make_user
from tests.support.people import make_root

PASSWORD = "correct-horse-battery"
PAGES = ("/login/", "/admin/login/")


class AllowanceTests(TestCase):
    def test_a_quota_at_once_and_then_one_each_step(self) -> None:
        few = Allowance("few", 3, timedelta(seconds=10))
        for _ in range(3):
            few.take("ann")
        with self.assertRaises(TooManyAttempts) as refused:
            few.take("ann")
        self.assertEqual(refused.exception.headers["Retry-After"], "10")
        few.take("bob")
        # What was refused did not count.
        self.move_back(seconds=10)
        few.take("ann")
        with self.assertRaises(TooManyAttempts):
            few.take("ann")

    def move_back(self, *, seconds: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE attempt_rates SET arrival = arrival - %s * interval '1 s'", [seconds]
            )

    def test_past_attempts_are_deleted(self) -> None:
        Allowance("few", 3, timedelta(seconds=10)).take("ann")
        self.assertEqual(attempts.forget_past_attempts(timezone.now()), 0)
        later = timezone.now() + timedelta(seconds=20)
        self.assertEqual(attempts.forget_past_attempts(later), 1)


@override_settings(HTTPS=False, SECURE_SSL_REDIRECT=False)
class LogInTests(TestCase):
    def setUp(self) -> None:
        # A fast hasher: these tests are not about the cost of a hash.
        hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        self.enterContext(override_settings(PASSWORD_HASHERS=hashers))
        make_user("ann@example.com", password=PASSWORD, is_staff=True)

    def log_in(
        self, password: str = PASSWORD, *, email: str = "ann@example.com", **more: Any
    ) -> Any:
        page, address = more.get("page", "/login/"), more.get("address", "192.0.2.1")
        form = {"username": email, "password": password}
        return Client(REMOTE_ADDR=address).post(page, form, headers=more.get("headers"))

    def test_a_person_in_a_network_fails_ten_times(self) -> None:
        for email in ("ann@example.com", "nobody@example.com"):
            for page in PAGES:
                AttemptRate.objects.all().delete()
                with self.subTest(f"{email} at {page}"):
                    tried = [self.log_in("wrong", email=email, page=page) for _ in range(12)]
                    self.assertEqual([t.status_code for t in tried], [200] * 10 + [429] * 2)
                    self.assertEqual(tried[-1].headers["Retry-After"], "60")
                    self.assertContains(tried[-1], "Try again in 60 seconds", status_code=429)

    def test_known_and_unknown_people_get_the_same_answer(self) -> None:
        def bodies(email: str) -> list[bytes]:
            return [self.log_in("wrong", email=email).content for _ in range(12)]

        known, unknown = bodies("ann@example.com"), bodies("not@example.com")
        self.assertEqual(known[-2:], unknown[-2:])

    def test_another_spelling_of_an_address_is_the_same_person(self) -> None:
        for n in range(10):
            spelling = "Ann@Example.com " if n % 2 else "ANN@example.com"
            self.assertEqual(self.log_in("wrong", email=spelling).status_code, 200)
        self.assertEqual(self.log_in("wrong").status_code, 429)

    def test_logging_in_forgets_the_failures(self) -> None:
        for _ in range(3):
            for _ in range(9):
                self.assertEqual(self.log_in("wrong").status_code, 200)
            self.assertEqual(self.log_in().status_code, 302)

    @override_settings(LIMIT_LOGINS_PER_MINUTE_PER_NETWORK=5)
    def test_a_network_has_its_rate_whoever_it_tries(self) -> None:
        tried = [
            self.log_in("wrong", email=f"p{n}@example.com", address=f"192.0.2.{n}")
            for n in range(7)
        ]
        self.assertEqual([t.status_code for t in tried], [200] * 5 + [429] * 2)
        self.assertEqual(self.log_in(address="198.51.100.1").status_code, 302)

    def test_what_others_try_locks_nobody_out_where_they_have_logged_in(self) -> None:
        self.assertEqual(self.log_in(address="198.51.100.1").status_code, 302)
        statuses = {
            self.log_in("wrong", address=f"10.{n}.0.1").status_code
            for n in range(attempts.PERSON.quota - 1)
        }
        self.assertEqual(statuses, {200})
        self.assertEqual(self.log_in("wrong", address="10.200.0.1").status_code, 429)
        self.assertEqual(self.log_in(address="198.51.100.1").status_code, 302)

    def test_an_api_client_gets_a_problem(self) -> None:
        for _ in range(10):
            self.log_in("wrong")
        answer = self.log_in("wrong", headers={"accept": "application/json"})
        self.assertEqual((answer.status_code, answer.json()["code"]), (429, "too_many_attempts"))

    def test_whoever_took_over_a_session_guesses_the_password_ten_times(self) -> None:
        browser = Client()
        browser.post("/admin/login/", {"username": "ann@example.com", "password": PASSWORD})
        form = {f"new_password{n}": "another-horse-battery" for n in (1, 2)}
        form["old_password"] = "wrong"
        tried = [browser.post("/admin/password_change/", form).status_code for _ in range(11)]
        self.assertEqual(tried, [200] * 10 + [429])

    def test_no_row_holds_an_address(self) -> None:
        self.log_in("wrong")
        self.log_in()
        subjects = " ".join(AttemptRate.objects.values_list("subject", flat=True))
        self.assertIn("known:", subjects)
        self.assertNotIn("example", subjects)

    def test_a_mailbox_is_not_flooded_by_links(self) -> None:
        boss = make_root(email="boss@example.com")
        self.client.force_login(boss)
        ann = type(boss).objects.get(email="ann@example.com")
        with self.captureOnCommitCallbacks(execute=True):
            for _ in range(7):
                self.client.post(f"/admin/accounts/user/{ann.pk}/password-link/")
        self.assertEqual(len(mail.outbox), 5)


class HashingTests(SimpleTestCase):
    def setUp(self) -> None:
        # Sixteen hashes may take longer on a busy machine than people are let wait.
        self.enterContext(mock.patch.object(hashing, "WAIT_SECONDS", 60))

    def test_as_owasp_has_it(self) -> None:
        self.assertIn("$argon2id$v=19$m=19456,t=2,p=1$", make_password(PASSWORD))

    def test_two_at_once_and_the_others_wait(self) -> None:
        running, most, lock = 0, 0, threading.Lock()
        original = Argon2PasswordHasher.encode

        def encode(*arguments: Any) -> str:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            made = original(*arguments)
            with lock:
                running -= 1
            return str(made)

        with (
            mock.patch.object(Argon2PasswordHasher, "encode", encode),
            ThreadPoolExecutor(16) as threads,
        ):
            made = list(threads.map(make_password, [PASSWORD] * 16))
        self.assertEqual(len(set(made)), 16)
        self.assertLessEqual(most, hashing.AT_ONCE)

    def test_only_so_many_threads_ever_hold_the_memory_of_a_hash(self) -> None:
        used: set[int] = set()
        original = Argon2PasswordHasher.encode

        def encode(*arguments: Any) -> str:
            used.add(threading.get_ident())
            return str(original(*arguments))

        with (
            mock.patch.object(Argon2PasswordHasher, "encode", encode),
            ThreadPoolExecutor(16) as threads,
        ):
            list(threads.map(make_password, [PASSWORD] * 16))
        self.assertLessEqual(len(used), hashing.AT_ONCE)

    def test_whoever_would_wait_long_is_refused(self) -> None:
        with (
            mock.patch.object(hashing, "WAIT_SECONDS", 0.01),
            self.turns_taken(),
            self.assertRaises(HashingBusy) as refused,
        ):
            make_password(PASSWORD)
        self.assertEqual(refused.exception.headers["Retry-After"], "5")
        self.assertTrue(check_password(PASSWORD, make_password(PASSWORD)))

    def test_a_hash_that_has_begun_is_waited_for(self) -> None:
        begun: Future[str] = Future()
        begun.set_running_or_notify_cancel()
        threading.Timer(0.05, begun.set_result, ["made"]).start()
        with (
            mock.patch.object(hashing, "WAIT_SECONDS", 0.001),
            mock.patch.object(hashing._threads, "submit", return_value=begun),
        ):
            self.assertEqual(make_password(PASSWORD), "made")

    @contextmanager
    def turns_taken(self, number: int = hashing.AT_ONCE) -> Iterator[None]:
        """Keep so many hashing threads busy."""
        go_on, busy = threading.Event(), threading.Barrier(number + 1)

        def hold() -> None:
            busy.wait(10)
            go_on.wait(10)

        with ThreadPoolExecutor(number) as others:
            with mock.patch.object(hashing, "WAIT_SECONDS", 10):
                for _ in range(number):
                    others.submit(hashing.one_of_few, hold)
                busy.wait(10)
            try:
                yield
            finally:
                go_on.set()

    def test_other_hashes_are_read_and_take_one_turn(self) -> None:
        other = make_password(PASSWORD, hasher="pbkdf2_sha256")
        with self.turns_taken(1):
            self.assertTrue(check_password(PASSWORD, other))


@override_settings(HTTPS=False, SECURE_SSL_REDIRECT=False)
class ConnectionTests(TransactionTestCase):
    def test_no_connection_is_held_while_a_password_is_hashed(self) -> None:
        make_user("ann@example.com", password=PASSWORD, is_staff=True)
        held: list[bool] = []

        def look() -> None:
            give_back()
            held.append(connection.connection is not None)

        for page in PAGES:
            with mock.patch.object(hashing, "give_back", look):
                form = {"username": "ann@example.com", "password": PASSWORD}
                answer = Client().post(page, form)
            self.assertEqual(answer.status_code, 302)
        self.assertEqual(held, [False, False])
