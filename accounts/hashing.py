"""Password hashes, made a few at a time: each takes memory and a processor for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher

from salient.database import give_back
from salient.problems import Unavailable

AT_ONCE, MOST_WAITING = 2, 32
WAIT_SECONDS = 3.0

_running = BoundedSemaphore(AT_ONCE)
_here = BoundedSemaphore(AT_ONCE + MOST_WAITING)


class HashingBusy(Unavailable):
    """As many passwords are being checked as may be, and others wait already."""

    def __init__(self) -> None:
        super().__init__("Many people are logging in at this moment; try again.")


@contextmanager
def one_of_few() -> Iterator[None]:
    """Wait for a turn, without a database connection; raises HashingBusy when it takes long."""
    give_back()
    if not _here.acquire(blocking=False):
        raise HashingBusy
    try:
        if not _running.acquire(timeout=WAIT_SECONDS):
            raise HashingBusy
        try:
            yield
        finally:
            _running.release()
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
        with one_of_few():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with one_of_few():
            return super().verify(password, encoded)


class PBKDF2Hasher(PBKDF2PasswordHasher):
    """For hashes that were made elsewhere; verifying one makes it anew."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with one_of_few():
            return super().encode(password, salt, iterations)
