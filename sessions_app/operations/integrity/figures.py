"""The ledger (llm_requests) against messages, roll-up, counters, and what running turns hold."""

from __future__ import annotations

from uuid import UUID

from django.db import connection

from accounts.limits.quotas import lock_account
from accounts.tenancy.accounts import list_accounts
from accounts.tenancy.context import platform_context
from sessions_app.operations.integrity.checks import (
    STATEMENT_SECONDS,
    Check,
    Found,
    Scope,
    count_rows,
    of_account,
)
from sessions_app.turns import abandoned
from sessions_app.usage import rollup, totals
from sessions_app.usage.queries import SUMS
from sessions_app.usage.rollup import Differences

# ruff: noqa: S608 - built from constants

# What a deleted turn, an adopted row or one without stored texts has no messages for is left out:
# its session is a tombstone, its body is gone, or it has no message at all.
_UNANSWERED = f"""
    SELECT own.account_id, 'llm_requests ' || own.id FROM llm_requests AS own
    JOIN sessions ON sessions.account_id = own.account_id AND sessions.id = own.session_id
    JOIN (
        SELECT account_id, llm_request_id,
            count(*) FILTER (WHERE role <> 'assistant') AS asked,
            count(*) FILTER (WHERE role = 'assistant') AS answered
        FROM messages AS own WHERE llm_request_id IS NOT NULL AND {of_account("own")}
        GROUP BY account_id, llm_request_id
    ) AS said ON said.account_id = own.account_id AND said.llm_request_id = own.id
    WHERE {of_account("own")} AND own.reserved_cost IS NOT NULL AND own.request_body IS NOT NULL
        AND sessions.deleted_at IS NULL
        AND (said.asked <> 1 OR said.answered > 1
            OR (own.completion_status = 'complete' AND own.completion_tokens > 0
                AND said.answered = 0)
            OR (own.completion_status = 'running' AND said.answered > 0))
"""
_MISPLACED = f"""
    SELECT own.account_id, 'messages ' || own.id FROM messages AS own
    JOIN sessions ON sessions.account_id = own.account_id AND sessions.id = own.session_id
    LEFT JOIN llm_requests AS request
        ON request.account_id = own.account_id AND request.id = own.llm_request_id
    WHERE {of_account("own")} AND (sessions.agent_instance_id <> own.agent_instance_id
        OR request.session_id <> own.session_id)
"""
_NAMES = ", ".join(SUMS)
_SUMMED = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
_ROW = ", ".join("{table}." + name for name in SUMS)
_DIFFERENT = f"ROW({_ROW.format(table='kept')}) IS DISTINCT FROM ROW({_ROW.format(table='own')})"
_OTHER_TOTALS = f"""
    SELECT account_id, 'usage_totals ' || day FROM (
        SELECT * FROM usage_totals AS own WHERE account_id IS NOT NULL AND {of_account("own")}
    ) AS kept
    FULL JOIN (
        SELECT day, account_id, {_SUMMED} FROM usage_days AS own
        WHERE day IN (SELECT day FROM usage_totals) AND {of_account("own")}
        GROUP BY day, account_id
    ) AS own USING (day, account_id)
    WHERE {_DIFFERENT}
    UNION ALL
    SELECT NULL, 'usage_totals ' || day || ' ' || model FROM (
        SELECT * FROM usage_totals WHERE account_id IS NULL
    ) AS kept
    FULL JOIN (
        SELECT day, model, {_SUMMED} FROM usage_days
        WHERE day IN (SELECT day FROM usage_totals) GROUP BY day, model
    ) AS own USING (day, model)
    WHERE %(account)s::uuid IS NULL AND {_DIFFERENT}
"""
_FORGET_TOTALS = f"""
    WITH found (account_id, id) AS ({_OTHER_TOTALS})
    DELETE FROM usage_totals WHERE day IN (SELECT split_part(id, ' ', 2)::date FROM found)
"""
_HELD = f"""
    WITH held AS MATERIALIZED (
        SELECT account_id, agent_instance_id, reserved_cost FROM llm_requests AS own
        WHERE completion_status = 'running' AND {of_account("own")}
    )
"""
_OTHER_RUNNING = """
    SELECT accounts.id AS account_id, accounts.slug AS id FROM accounts
    LEFT JOIN account_limits AS own ON own.account_id = accounts.id
    WHERE (%(account)s::uuid IS NULL OR accounts.id = %(account)s::uuid)
        AND coalesce(own.running, 0) <> (SELECT count(*) FROM held WHERE account_id = accounts.id)
"""
# A budget that was made while turns ran has less: these did not reserve in it.
_HELD_OF_BUDGET = """
    coalesce((SELECT sum(held.reserved_cost) FROM held WHERE held.account_id = own.account_id
        AND coalesce(own.agent_instance_id, held.agent_instance_id) = held.agent_instance_id), 0)
"""
_OTHER_RESERVED = f"""
    SELECT own.account_id, 'budgets ' || own.id FROM budgets AS own
    WHERE {of_account("own")} AND own.reserved > {_HELD_OF_BUDGET}
"""
_SET_RUNNING = f"""
    {_HELD}
    UPDATE account_limits SET running = (SELECT count(*) FROM held WHERE account_id = %(account)s)
    WHERE account_id = %(account)s
"""
_SET_RESERVED = f"""
    {_HELD}
    UPDATE budgets AS own SET reserved = {_HELD_OF_BUDGET}
    WHERE own.account_id = %(account)s AND own.reserved > {_HELD_OF_BUDGET}
"""


def _late_turns(scope: Scope) -> Found:
    ids = {account.slug: account.pk for account in list_accounts()}
    late = abandoned.settle_abandoned(write=False, account=scope.slug)
    return Found.of((ids.get(each.account), f"llm_requests {each.id}") for each in late)


def _settle_late_turns(scope: Scope) -> None:
    abandoned.settle_abandoned(account=scope.slug)


def _differences(scope: Scope) -> dict[UUID, Differences]:
    """Compare each account's figures with its ledger, once for all checks."""
    if scope.differences is None:
        accounts = [scope.account] if scope.account else list_accounts()
        found = {account.pk: rollup.compare(account.pk) for account in accounts}
        scope.differences = {key: each for key, each in found.items() if each}
    return scope.differences


def _other_days(scope: Scope) -> Found:
    found = _differences(scope).items()
    return Found.of(
        (key, f"usage_days {day} {model}") for key, each in found for day, model in each.days
    )


def _other_counters(scope: Scope) -> Found:
    found = _differences(scope).items()
    return Found.of((key, f"sessions {pk}") for key, each in found for pk in each.sessions)


def _rebuild(scope: Scope) -> None:
    """Compute the figures again of the accounts where they differ; both checks need it once."""
    scope.differences, found = None, _differences(scope)
    for key in found:
        rollup.rebuild(key)
    if found:
        totals.store_all()
    scope.differences = None


def _sum_again(scope: Scope) -> None:
    with platform_context(statement_seconds=STATEMENT_SECONDS), connection.cursor() as cursor:
        # A transaction that sums or changes past days holds this lock.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('usage_totals', 0))")
        cursor.execute(_FORGET_TOTALS, {"account": scope.account_id})
    totals.store_all()


def _running(scope: Scope) -> Found:
    return count_rows(_HELD + _OTHER_RUNNING, scope)


def _reserved(scope: Scope) -> Found:
    return count_rows(_HELD + _OTHER_RESERVED, scope)


def _hold_again(scope: Scope, found: Found, statement: str) -> None:
    """Count each account's running turns again while none of them begins or is settled.

    Both lock the account's row before they are committed, so that a turn which is being opened or
    settled meanwhile changes the new number afterwards.
    """
    for account_id in found.accounts:
        with platform_context(statement_seconds=STATEMENT_SECONDS), connection.cursor() as cursor:
            lock_account(account_id)
            cursor.execute(statement, {"account": account_id})


CHECKS = (
    Check(
        "turns",
        "Turns that are running although their process is dead or their time is over.",
        "--fix settles them, as the worker does every minute: does one run?",
        _late_turns,
        _settle_late_turns,
        "llm_requests",
    ),
    Check(
        "messages",
        "Stored turns without their question, without their answer, or with two of one.",
        "Look at the session and the log of that moment; a backup has what is missing.",
        lambda scope: count_rows(_UNANSWERED, scope),
    ),
    Check(
        "places",
        "Messages that stand in another session or agent than the turn they belong to.",
        "Look at the rows: nothing in Salient writes them.",
        lambda scope: count_rows(_MISPLACED, scope),
    ),
    Check(
        "usage",
        "Usage by day that differs from the requests.",
        "--fix computes it again, as manage.py rollup --rebuild does.",
        _other_days,
        _rebuild,
        "usage_days",
    ),
    Check(
        "counters",
        "Sessions whose turns, cost or last status differ from their requests.",
        "--fix counts them again, as manage.py rollup --rebuild does.",
        _other_counters,
        _rebuild,
        "sessions",
    ),
    Check(
        "totals",
        "Stored sums of past days that differ from the usage by day.",
        "--fix sums those days again.",
        lambda scope: count_rows(_OTHER_TOTALS, scope),
        _sum_again,
    ),
    Check(
        "running",
        "Accounts whose number of running turns differs from the turns that run.",
        "--fix counts them again.",
        _running,
        lambda scope: _hold_again(scope, _running(scope), _SET_RUNNING),
        "account_limits",
    ),
    Check(
        "reserved",
        "Budgets that reserve more than their running turns do.",
        "--fix reserves what the running turns do.",
        _reserved,
        lambda scope: _hold_again(scope, _reserved(scope), _SET_RESERVED),
        "budgets",
    ),
)
