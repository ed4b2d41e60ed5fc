"""Forms that people have sent, so that none is acted on twice: a double click, a reload.

Everything here runs inside the platform context.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import OperationalError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from psycopg.errors import LockNotAvailable

from accounts.models import SentForm, User
from accounts.tenancy.locks import lock_rows

# After that a form that is sent again is acted on again.
KEPT = timedelta(days=1)


def id_of(user: User, address: str, fields: Iterable[tuple[str, list[str]]]) -> UUID:
    """Return what this form of this person has alone; of its fields nothing can be read in it."""
    sent = json.dumps([str(user.pk), address, *sorted(fields)])
    hashed = salted_hmac("accounts.members.sent_forms", sent, algorithm="sha256")
    return UUID(bytes=hashed.digest()[:16])


def take_turns(form_id: UUID) -> bool:
    """Wait until nobody else works on the same form; False where that takes too long."""
    try:
        with transaction.atomic():
            lock_rows("sent forms", form_id)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        return False
    return True


def sent_before(form_id: UUID) -> SentForm | None:
    """Return the form as it was acted on, if it was; call it after `take_turns`."""
    return SentForm.objects.filter(pk=form_id, created_at__gt=timezone.now() - KEPT).first()


def note(form_id: UUID, *, leads_to: str, said: str) -> None:
    """Remember that the form was acted on, in the transaction that did it."""
    fields = {"leads_to": leads_to, "said": said, "created_at": timezone.now()}
    SentForm.objects.update_or_create(pk=form_id, defaults=fields)


def forget_sent_forms(at: datetime) -> int:
    """Delete the forms that were sent long before, and return how many they were."""
    return SentForm.objects.filter(created_at__lte=at - KEPT).delete()[0]
