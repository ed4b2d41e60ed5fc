"""Makes and checks password hashes, few at a time: each takes 19 MiB and a processor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore

from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher

from salient.api.problems import Unavailable
from salient.database import give_back

AT_ONCE, MOST_WAITING = 2, 32
WAIT_SECONDS = 3.0

# Threads of their own: the C library keeps the memory that a thread has used, so each thread that
# ever made a hash would hold 19 MiB until the process ends.
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hashing")
_here = BoundedSemaphore(AT_ONCE + MOST_WAITING)


class HashingBusy(Unavailable):
    """As many passwords are being checked as is allowed, and MOST_WAITING others wait."""

    detail = "Many people are logging in at this moment; try again."


def one_of_few[**P, T](work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the work in a hashing thread; this one gives its connection back. Raises HashingBusy."""
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
            # It has begun, so it will end.
            return doing.result()
    finally:
        _here.release()


class Argon2Hasher(Argon2PasswordHasher):
    """Argon2id as in OWASP's password storage cheat sheet: 19 MiB, two passes, one lane.

    Django's default takes 100 MiB and eight lanes, too much for a server of many tenants.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        return one_of_few(super().encode, password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        return one_of_few(super().verify, password, encoded)


class PBKDF2Hasher(PBKDF2PasswordHasher):
    """For hashes that were made elsewhere; Django replaces one when it is verified."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return one_of_few(super().encode, password, salt, iterations)
