"""Runs database work of async code in a few threads that keep their connections.

It is our own because asgiref's sync_to_async has one thread for each request, or one for all: a
thousand streams would hold a thousand threads, or wait for one another.
"""

import asyncio
import os
import select
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache, partial
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError, connection, connections

from salient.database.circuit_breaker import circuit

# For how long after its start others may join a call of in_database_once.
SHARED_READ_SECONDS = 1.0


async def in_database[**P, T](func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a sync unit of work in one of the API's own threads and return what it returns.

    It sees the caller's context variables; what it sets there stays in the thread. Work that has
    been submitted is done even when the caller is cancelled. With `DATABASE_API_THREADS = 0`
    (tests) it shares the thread and the connection of Django's other async code.
    """
    circuit.refuse()
    if not settings.DATABASE_API_THREADS:
        return await sync_to_async(func, thread_sensitive=True)(*args, **kwargs)
    work = partial(copy_context().run, _with_kept_connection, partial(func, *args, **kwargs))
    doing = asyncio.get_running_loop().run_in_executor(_executor(), work)
    doing.add_done_callback(_mark_error_as_seen)
    return await asyncio.shield(doing)


async def in_database_once[**P, T](func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do as `in_database`, once for all equal calls while the first is under way.

    It is for values that are cached: when one expires, all calls of that moment would read it
    again. The result may depend on the arguments only, which must be hashable.
    """
    loop = asyncio.get_running_loop()
    key = (loop, func, args, tuple(kwargs.items()))
    reading, since = _under_way.get(key, (None, 0.0))
    # One that takes long may have a dead connection, for which all others would wait too.
    if reading is None or loop.time() - since > SHARED_READ_SECONDS:
        reading = asyncio.create_task(in_database(func, *args, **kwargs))
        _under_way[key] = reading, loop.time()
        reading.add_done_callback(partial(_has_ended, key))
    result: T = await asyncio.shield(reading)
    return result


def _mark_error_as_seen(doing: asyncio.Future[Any]) -> None:
    """Keep asyncio from logging the error, with its traceback, when the caller was cancelled."""
    if not doing.cancelled():
        doing.exception()


def _has_ended(key: Hashable, reading: asyncio.Task[Any]) -> None:
    if _under_way.get(key, (None,))[0] is reading:
        del _under_way[key]


_under_way: dict[Hashable, tuple[asyncio.Task[Any], float]] = {}


async def release_connection() -> None:
    """Return the connection of Django's async code (pages, not `in_database`) to the pool.

    A streaming response calls it before it waits for a model. Inside a transaction nothing happens.
    """
    await sync_to_async(give_back, thread_sensitive=True)()


def end_threads() -> None:
    """Close the threads' connections and end the threads; the next call makes new ones."""
    if not _executor.cache_info().currsize:
        return
    executor, threads = _executor(), settings.DATABASE_API_THREADS
    # Each thread waits for all others, so that each of them gets exactly one of these calls.
    barrier = threading.Barrier(threads)

    def close() -> None:
        barrier.wait()
        connection.close()

    for _ in range(threads):
        executor.submit(close)
    executor.shutdown()
    _executor.cache_clear()


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(settings.DATABASE_API_THREADS, thread_name_prefix="api-database")


# Threads do not survive a fork; the child makes its own.
os.register_at_fork(after_in_child=_executor.cache_clear)


def _with_kept_connection[T](work: Callable[[], T]) -> T:
    """Do the work on this thread's connection, which stays open for the next work."""
    # The circuit may have opened while this waited for the thread.
    circuit.refuse()
    if connection.connection is not None:
        if getattr(connection.connection, "generation", None) != circuit.generation:
            connection.close()
        elif _has_message():
            _close_if_broken()
    try:
        return work()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) is None:
            # The server did not answer, or the pool had no connection left.
            circuit.suspect()
        raise
    finally:
        if connection.errors_occurred:
            _close_if_broken()


def _has_message() -> bool:
    """Whether the server has sent something while idle, as it does when it ends; no round trip."""
    try:
        readable = select.poll()
        readable.register(connection.connection.pgconn.socket, select.POLLIN)
        return bool(readable.poll(0))
    except Exception:
        return True


def _close_if_broken() -> None:
    if connection.is_usable():
        connection.errors_occurred = False
    else:
        connection.close()


def give_back() -> None:
    """Return this thread's connections to the pool, except inside a transaction."""
    for opened in connections.all(initialized_only=True):
        if not opened.in_atomic_block:
            opened.close()
