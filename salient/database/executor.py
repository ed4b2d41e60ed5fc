"""How async code crosses to the database: a few threads that keep their connection."""

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
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections

from salient.database import pipeline
from salient.database.circuit_breaker import circuit

# How long a reading takes in company: who asks later than that asks anew.
SHARED_READ_SECONDS = 1.0


async def in_database[**P, T](func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a sync unit of work in a thread of the API's own and return what it returns.

    It sees the caller's context variables; what it sets there stays in the thread. Work that was
    handed over is done even when the caller is cancelled. With `DATABASE_API_THREADS = 0` (tests)
    it shares the thread and the connection of Django's other async code.
    """
    circuit.refuse()
    if not settings.DATABASE_API_THREADS:
        return await sync_to_async(func, thread_sensitive=True)(*args, **kwargs)
    work = partial(copy_context().run, _with_kept_connection, partial(func, *args, **kwargs))
    doing = asyncio.get_running_loop().run_in_executor(_executor(), work)
    # A caller that has left is not there to take the error.
    doing.add_done_callback(_take_error)
    return await asyncio.shield(doing)


async def in_database_once[**P, T](func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do as `in_database`, once for all who ask the same while it is under way.

    For what is read and then believed for a while: when that ends, all who call at that moment
    would read it again. The arguments say all that the answer depends on; each can be a dict's key.
    """
    loop = asyncio.get_running_loop()
    key = (loop, func, args, tuple(kwargs.items()))
    reading, since = _under_way.get(key, (None, 0.0))
    # One that takes long may have met a dead connection, and would keep everybody waiting with it.
    if reading is None or loop.time() - since > SHARED_READ_SECONDS:
        reading = asyncio.create_task(in_database(func, *args, **kwargs))
        _under_way[key] = reading, loop.time()
        reading.add_done_callback(partial(_has_ended, key))
    result: T = await asyncio.shield(reading)
    return result


def _take_error(doing: asyncio.Future[Any]) -> None:
    """Mark the error as seen: asyncio would log it, with its traceback, for nobody."""
    if not doing.cancelled():
        doing.exception()


def _has_ended(key: Hashable, reading: asyncio.Task[Any]) -> None:
    if _under_way.get(key, (None,))[0] is reading:
        del _under_way[key]


_under_way: dict[Hashable, tuple[asyncio.Task[Any], float]] = {}


async def release_connection() -> None:
    """Give the connection of Django's async code (pages, not `in_database`) back to the pool.

    A streaming response calls it before it waits for a model. Inside a transaction nothing happens.
    """
    await sync_to_async(give_back, thread_sensitive=True)()


def shut_down() -> None:
    """End the threads, close the channels and the pool; the next call makes new ones."""
    pipeline.close_pipelines()
    if _executor.cache_info().currsize:
        executor = _executor()
        threads = settings.DATABASE_API_THREADS
        # Each thread waits for all others, so that each of them gets exactly one of these calls.
        everyone = threading.Barrier(threads)
        for _ in range(threads):
            executor.submit(_leave, everyone)
        executor.shutdown()
        _executor.cache_clear()
    pipeline.give_back_unclaimed()
    default: Any = connections[DEFAULT_DB_ALIAS]
    default.close_pool()


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(settings.DATABASE_API_THREADS, thread_name_prefix="api-database")


# Threads do not survive a fork; the child makes its own.
os.register_at_fork(after_in_child=_executor.cache_clear)


def _with_kept_connection[T](work: Callable[[], T]) -> T:
    """Do the work on this thread's connection, which stays open for the next one."""
    # It may have been known only while this waited for the thread.
    circuit.refuse()
    if connection.connection is not None:
        if getattr(connection.connection, "generation", None) != circuit.generation:
            connection.close()
        elif _has_news():
            _close_if_broken()
    try:
        return work()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) is None:
            # Nobody answered, or the pool had no connection to give.
            circuit.suspect()
        raise
    finally:
        if connection.errors_occurred:
            _close_if_broken()


def _has_news() -> bool:
    """Whether the idle server has sent something, as it does when it ends; costs no round trip."""
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
    """Give the connections of this thread back to the pool, except inside a transaction."""
    for opened in connections.all(initialized_only=True):
        if not opened.in_atomic_block:
            opened.close()


def _leave(everyone: threading.Barrier) -> None:
    everyone.wait()
    connection.close()
