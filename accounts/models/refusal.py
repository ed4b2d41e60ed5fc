"""Refused calls, as sums of a day."""

from __future__ import annotations

from django.db import models

from accounts.models.foreign_keys import account_constraint, account_key
from accounts.tenancy.context import TenantManager, TenantModel


class RefusalDay(TenantModel):
    """How often one caller was refused for one reason in a day (UTC): never a row a call."""

    pk = models.CompositePrimaryKey("account_id", "day", "code", "caller", "key_id", "agent")
    account = account_key()
    day = models.DateField()
    # The problem's code, and the HTTP status that came with it last.
    code = models.CharField(max_length=50)
    status = models.SmallIntegerField()
    # A kind of caller (accounts/audit/refusals), and the public part of the key; "" is none.
    caller = models.CharField(max_length=15)
    key_id = models.CharField(max_length=12, db_default="")
    # The slug of the account's agent that was called; "" where it is none, or none was called.
    agent = models.CharField(max_length=63, db_default="")
    times = models.BigIntegerField()
    last_at = models.DateTimeField()

    objects = TenantManager["RefusalDay"]()

    class Meta:
        db_table = "refusal_days"
        constraints = [
            account_constraint("refusal_days"),
            models.CheckConstraint(condition=models.Q(times__gt=0), name="ck_refusal_days_times"),
        ]
        indexes = [models.Index(fields=["day"], name="ix_refusal_days_day")]

    def __str__(self) -> str:
        return f"{self.status} {self.code}"
