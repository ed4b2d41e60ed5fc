"""The configuration files, and which models and timeouts the agents in use have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from django.conf import settings
from django.db.models import F

from accounts.models import AccountStatus
from accounts.tenancy.context import platform_context
from agents.config import ConfigError, config_dir, load
from agents.config.check import check
from agents.costs.own_prices import own_prices
from agents.costs.pricing import price
from agents.instances.services import instances_with_accounts
from agents.runtime.events import ModelCall
from sessions_app.operations.doctor.findings import Finding, Needs, Subject, fault, ok, warning

# Reading a configuration takes milliseconds: of more agents only those that were used last.
MOST_AGENTS = 500
NAMED = 3


@dataclass(frozen=True, slots=True)
class Used:
    """A model of an agent that serves, and how long its turns may take (s)."""

    account_id: UUID
    account: str
    # Of the account's configuration files.
    folder: str
    agent: str
    model: str
    total_seconds: float


def models_in_use() -> list[Used]:
    """Return the models of the agents that serve; one with a broken configuration has none."""
    with platform_context():
        rows = instances_with_accounts().filter(account__status=AccountStatus.ACTIVE)
        serving = rows.filter(status="active", suspended_reason="")
        newest = serving.order_by(F("last_used_at").desc(nulls_last=True), "pk")
        instances = list(islice(newest.iterator(), MOST_AGENTS))
    found: list[Used] = []
    for each in instances:
        try:
            config = load(*each.folder, override=each.override).config
        except ConfigError:
            continue
        name = each.full_slug
        total = config.timeouts.total
        models = dict.fromkeys((config.model, *config.fallback_models))
        of = (each.account_id, each.account.slug, each.folder[0], name)
        found += [Used(*of, each_, total) for each_ in models]
    return found


def _files() -> Iterator[Finding]:
    findings = check(config_dir())
    broken = [each for each in findings if each.errors]
    for each in broken[:NAMED]:
        yield fault(f"{each.subject}: {each.errors[0]}", "See manage.py config check.")
    if len(broken) > NAMED:
        yield fault(f"{len(broken) - NAMED} more have errors", "See manage.py config check.")
    warnings = [(each.subject, line) for each in findings for line in each.warnings]
    if warnings:
        subject, line = warnings[0]
        yield warning(
            f"{len(warnings)} warnings, as {subject}: {line}", "See manage.py config check."
        )
    if not broken:
        yield ok(f"{len(findings)} are valid")


def _prices() -> Iterator[Finding]:
    used = models_in_use()
    unknown = {each.model for each in used if not _has_price(each)}
    if unknown:
        some = ", ".join(sorted(unknown)[:NAMED])
        yield warning(
            f"no price is known for {len(unknown)} of the models in use: {some}",
            f"Add them to prices.yaml: they count with UNKNOWN_PRICE_PER_MTOK "
            f"({settings.UNKNOWN_PRICE_PER_MTOK}).",
        )
    else:
        yield ok(f"known for all {len({each.model for each in used})} models in use")


def _has_price(used: Used) -> bool:
    provider, _, name = used.model.partition(":")
    call = ModelCall(provider, name, 1, 1)
    return price(call, own_prices(used.folder)).total_cost is not None


def _timeouts() -> Iterator[Finding]:
    """Compare how long turns may take with what cuts them."""
    used = models_in_use()
    longest = max(used, key=lambda each: each.total_seconds, default=None)
    if longest is None:
        yield ok("no agent serves")
    elif longest.total_seconds > settings.STREAM_MAX_SECONDS:
        yield warning(
            f"{longest.agent} may take {longest.total_seconds:g} s, and STREAM_MAX_SECONDS cuts "
            f"it at {settings.STREAM_MAX_SECONDS:g}",
            "Lower its timeouts.total, or raise STREAM_MAX_SECONDS.",
        )
    else:
        yield ok(f"a turn takes up to {longest.total_seconds:g} s; a proxy has to wait for longer")


SUBJECTS = (
    Subject("configuration files", _files, needs=Needs.NOTHING),
    Subject("prices", _prices),
    Subject("timeouts", _timeouts),
)
