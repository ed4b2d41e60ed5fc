"""Async code reaches the database by a few threads that keep their connection."""

import asyncio
import gc
import threading
from contextvars import ContextVar
from unittest import mock

from django.db import OperationalError, connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings

from salient.database import executor, in_database, in_database_once, release_connection, shut_down

THREADS = 2
tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def backend() -> int:
    """The number of the server process that this thread's connection talks to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def slow_backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), pg_sleep(0.02)")
        return int(cursor.fetchone()[0])


def hang_up_on(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [number])


@override_settings(DATABASE_API_THREADS=THREADS)
class ThreadConnectionTests(TransactionTestCase):
    available_apps = ()

    def setUp(self) -> None:
        self.addCleanup(shut_down)

    async def test_any_number_of_calls_needs_only_the_threads_connections(self) -> None:
        numbers = await asyncio.gather(*(in_database(slow_backend) for _ in range(20)))

        self.assertEqual(len(set(numbers)), THREADS)
        self.assertIn(await in_database(backend), numbers)

    async def test_arguments_results_and_errors_cross(self) -> None:
        self.assertEqual(await in_database(divmod, 7, 3), (2, 1))
        self.assertEqual(await in_database(sorted, [1, 2], reverse=True), [2, 1])
        with self.assertRaises(ZeroDivisionError):
            await in_database(divmod, 7, 0)

    async def test_context_variables_cross_and_do_not_leak_back(self) -> None:
        tenant.set("acme")

        self.assertEqual(await in_database(tenant.get), "acme")
        await in_database(tenant.set, "beta")
        self.assertEqual(tenant.get(), "acme")

    async def test_equal_calls_under_way_share_the_result(self) -> None:
        made: list[str] = []

        def read(name: str) -> str:
            made.append(name)
            return f"{name} as {slow_backend()} tells it"

        results = await asyncio.gather(
            *(in_database_once(read, name) for name in ["acme", "beta"] * 50)
        )

        self.assertEqual(sorted(made), ["acme", "beta"])
        self.assertEqual(set(results[::2]), {results[0]})
        self.assertNotEqual(results[0], results[1])
        await in_database_once(read, "acme")
        self.assertEqual(made.count("acme"), 2)

    @mock.patch.object(executor, "SHARED_READ_SECONDS", 0.0)
    async def test_a_later_call_does_not_wait_for_one_that_hangs(self) -> None:
        hangs, calls = threading.Event(), []

        def read() -> int:
            calls.append(1)
            if len(calls) == 1:
                hangs.wait()
            return len(calls)

        first = asyncio.create_task(in_database_once(read))
        await asyncio.sleep(0.02)
        self.assertEqual(await in_database_once(read), 2)
        self.assertFalse(first.done())
        hangs.set()
        await first

    async def test_cancelled_and_failed_shared_calls_do_not_affect_the_next_one(self) -> None:
        def read(divisor: int) -> int:
            return slow_backend() // divisor

        first, second = (asyncio.create_task(in_database_once(read, 1)) for _ in range(2))
        await asyncio.sleep(0.005)
        first.cancel()
        self.assertGreater(await second, 0)

        failed = await asyncio.gather(
            *(in_database_once(read, 0) for _ in range(3)), return_exceptions=True
        )
        self.assertEqual({type(each) for each in failed}, {ZeroDivisionError})
        with self.assertRaises(ZeroDivisionError):
            await in_database_once(read, 0)

    async def test_a_connection_that_the_server_closed_is_replaced_before_the_next_call(
        self,
    ) -> None:
        numbers = set(await asyncio.gather(*(in_database(slow_backend) for _ in range(8))))
        await asyncio.to_thread(from_outside, numbers)

        after = set(await asyncio.gather(*(in_database(slow_backend) for _ in range(8))))
        self.assertEqual(len(after), THREADS)
        self.assertFalse(after & numbers)

    async def test_a_connection_that_breaks_in_a_call_fails_only_that_call(self) -> None:
        def hang_up() -> None:
            hang_up_on(backend())

        with self.assertRaises(OperationalError):
            await in_database(hang_up)
        for _ in range(THREADS):
            await in_database(backend)

    async def test_work_that_was_handed_over_is_done_although_the_caller_was_cancelled(
        self,
    ) -> None:
        may_go_on, done = threading.Event(), threading.Event()
        blockers = [asyncio.create_task(in_database(may_go_on.wait)) for _ in range(THREADS)]
        await asyncio.sleep(0)
        caller = asyncio.create_task(in_database(done.set))
        await asyncio.sleep(0)
        caller.cancel()
        may_go_on.set()
        await asyncio.gather(*blockers)

        self.assertTrue(await asyncio.to_thread(done.wait, 10))
        self.assertTrue((await asyncio.gather(caller, return_exceptions=True))[0])

    async def test_an_error_after_the_callers_cancellation_is_not_logged(self) -> None:
        go_on, reports = threading.Event(), list[dict[str, object]]()
        asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))

        def fail() -> None:
            go_on.wait(10)
            raise OperationalError

        asking = asyncio.create_task(in_database(fail))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        go_on.set()
        # The threads take the next calls when they are free again.
        await asyncio.gather(*(in_database(backend) for _ in range(2 * THREADS)))
        gc.collect()

        self.assertEqual(reports, [])


def from_outside(numbers: set[int]) -> None:
    try:
        for number in numbers:
            hang_up_on(number)
    finally:
        connection.close()


class InTestsTests(TestCase):
    @override_settings(DATABASE_API_THREADS=0)
    async def test_with_no_threads_it_shares_the_tests_transaction(self) -> None:
        def in_transaction() -> bool:
            return connection.in_atomic_block

        self.assertTrue(await in_database(in_transaction))

    async def test_a_connection_in_a_transaction_is_not_given_back(self) -> None:
        number = await in_database(backend)
        await release_connection()
        self.assertEqual(await in_database(backend), number)


class ReleaseTests(TransactionTestCase):
    available_apps = ()

    @override_settings(DATABASE_API_THREADS=0)
    async def test_the_connection_of_a_page_returns_to_the_pool(self) -> None:
        def is_open() -> bool:
            return connection.connection is not None

        await in_database(backend)
        self.assertTrue(await in_database(is_open))
        await release_connection()
        self.assertFalse(await in_database(is_open))


class PoolTests(TransactionTestCase):
    available_apps = ()

    def setUp(self) -> None:
        # Its idle connections would be counted by other tests.
        self.addCleanup(shut_down)
        self.addCleanup(connection.close)

    def test_a_broken_connection_does_not_fail_the_next_requests(self) -> None:
        """All broken connections are closed with the first one that is found."""
        self.hold_together(6)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
        connection.close()

        with transaction.atomic():
            self.assertTrue(backend())

    def hold_together(self, number: int) -> None:
        """Let some threads use a connection each at the same time."""
        everyone = threading.Barrier(number)
        threads = [threading.Thread(target=hold, args=(everyone,)) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def hold(everyone: threading.Barrier) -> None:
    backend()
    everyone.wait()
    connection.close()
