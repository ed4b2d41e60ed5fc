"""Forms of the admin's pages that were sent, so that none is acted on twice."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class SentForm(models.Model):
    """A form that was acted on, and where its answer led; it belongs to no account."""

    # A keyed hash of who sent it, where to, and what (accounts/members/sent_forms.py).
    id = models.UUIDField(primary_key=True)
    leads_to = models.TextField()
    # The message for whoever sends it again.
    said = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "sent_forms"

    def __str__(self) -> str:
        return self.leads_to
