"""Limits on log-ins and e-mails, counted before any account is known.

A log-in counts for its network and for the person in that network, with tight limits, and for the
person from everywhere, with a loose one. The last does not apply in networks from which the person
has logged in before, so that attempts in somebody's name do not lock them out. People are counted
by a keyed hash of the typed address, whether or not it exists.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from math import ceil
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from accounts.auth import networks
from accounts.members.email_addresses import look_up_form
from salient.api.problems import Problem

logger = logging.getLogger(__name__)

KNOWN_FOR = timedelta(days=90)
# GCRA, as accounts/limits/rates.py: `arrival` is when all attempts so far would be allowed.
TAKE = """
    INSERT INTO attempt_rates AS known (subject, arrival) VALUES (%(subject)s, now() + %(step)s)
    ON CONFLICT (subject) DO UPDATE SET arrival = greatest(known.arrival, now()) + %(step)s
        WHERE known.arrival <= now() + %(ahead)s
    RETURNING arrival
"""
WAIT = """
    SELECT extract(epoch FROM arrival - now() - %(ahead)s) FROM attempt_rates
    WHERE subject = %(subject)s
"""


class AttemptRate(models.Model):
    """The GCRA state of one subject's attempts; it belongs to no account."""

    subject = models.CharField(primary_key=True, max_length=100)
    arrival = models.DateTimeField()

    class Meta:
        app_label = "accounts"
        db_table = "attempt_rates"

    def __str__(self) -> str:
        return self.subject


class TooManyAttempts(Problem):
    """Too many wrong keys from the caller's address, e-mails to one address, or attempts to log in;
    see `Retry-After`.
    """

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_attempts"

    def __init__(self, what: str, seconds: int) -> None:
        super().__init__(
            f"{what} Try again in {seconds} seconds.", headers={"Retry-After": str(seconds)}
        )


@dataclass(frozen=True, slots=True)
class Allowance:
    """Allows `quota` attempts at once, then one each `step`."""

    name: str
    quota: int
    step: timedelta
    refusal: str = "There were too many attempts to log in."

    def take(self, of: str) -> None:
        """Count one attempt; raises TooManyAttempts without counting it."""
        values: dict[str, Any] = {
            "subject": f"{self.name}:{of}",
            "step": self.step,
            "ahead": self.step * (self.quota - 1),
        }
        with connection.cursor() as cursor:
            cursor.execute(TAKE, values)
            if cursor.fetchone() is None:
                cursor.execute(WAIT, values)
                [seconds] = cursor.fetchone() or [0]
                raise TooManyAttempts(self.refusal, max(1, ceil(seconds)))


PERSON_THERE = Allowance("person-in-network", 10, timedelta(minutes=1))
PERSON = Allowance("person", 60, timedelta(seconds=10))
MAIL = Allowance(
    "mail", 5, timedelta(minutes=10), "Several e-mails went to this address a moment ago."
)


def try_login(request: HttpRequest, email: str) -> None:
    """Count an attempt to log in; raises TooManyAttempts."""
    network, person, there = _subjects(request, email)
    most = settings.LIMIT_LOGINS_PER_MINUTE_PER_NETWORK
    try:
        Allowance("network", most, timedelta(minutes=1) / most).take(network)
        PERSON_THERE.take(there)
        if not AttemptRate.objects.filter(
            subject=f"known:{there}", arrival__gt=models.functions.Now()
        ).exists():
            PERSON.take(person)
    except TooManyAttempts:
        logger.warning("An attempt to log in from %s was refused: too many.", network)
        raise


def logged_in(request: HttpRequest, email: str) -> None:
    """Delete the person's failures in this network, and remember it for KNOWN_FOR."""
    _, _, there = _subjects(request, email)
    AttemptRate.objects.filter(subject=f"{PERSON_THERE.name}:{there}").delete()
    AttemptRate.objects.update_or_create(
        subject=f"known:{there}", defaults={"arrival": models.functions.Now() + KNOWN_FOR}
    )


def send_mail_to(email: str) -> None:
    """Count an e-mail to this address, from any caller; raises TooManyAttempts."""
    MAIL.take(_hash(email))


def forget_past_attempts(at: datetime) -> int:
    """Delete the rows whose time is over and return how many; the periodic command calls it."""
    return AttemptRate.objects.filter(arrival__lt=at).delete()[0]


def _subjects(request: HttpRequest, email: str) -> tuple[str, str, str]:
    network = networks.client_network(request) or "unknown"
    return network, _hash(email), _hash(email, network)


def _hash(email: str, network: str = "") -> str:
    person = look_up_form(email) or email.strip().lower()
    value = f"{network} {person}"
    return salted_hmac("accounts.auth.attempts", value, algorithm="sha256").hexdigest()[:32]
