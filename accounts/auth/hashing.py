"""Password hashes, made a few at a time: each takes memory and a processor for a while."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore

from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher

from salient.api.problems import Unavailable
from salient.database import give_back

AT_ONCE, MOST_WAITING = 2, 32
WAIT_SECONDS = 3.0

# Threads of their own: the C library keeps what a thread has used, so each thread that ever made
# a hash would hold its 19 MiB for as long as the process.
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hashing")
_here = BoundedSemaphore(AT_ONCE + MOST_WAITING)


class HashingBusy(Unavailable):
    """As many passwords are being checked as may be, and others wait already."""

    def __init__(self) -> None:
        super().__init__("Many people are logging in at this moment; try again.")


def one_of_few[**P, T](work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the work in its turn, without a database connection here; raises HashingBusy."""
    give_back()
    if not _here.acquire(blocking=False):
        raise HashingBusy
    try:
        doing = _threads.submit(work, *args, **kwargs)
        try:
            return doing.result(WAIT_SECONDS)
        except TimeoutError as error:
            if doing.cancel():
                raise HashingBusy from error
            # It has begun.
            return doing.result()
    finally:
        _here.release()


class Argon2Hasher(Argon2PasswordHasher):
    """Argon2id as OWASP's password storage cheat sheet has it: 19 MiB, two passes, one lane.

    Django's own takes 100 MiB and eight lanes, which is more than a server of many tenants has.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        return one_of_few(super().encode, password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        return one_of_few(super().verify, password, encoded)


class PBKDF2Hasher(PBKDF2PasswordHasher):
    """For hashes that were made elsewhere; verifying one makes it anew."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return one_of_few(super().encode, password, salt, iterations)
