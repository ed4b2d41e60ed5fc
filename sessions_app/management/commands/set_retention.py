"""`manage.py set_retention ACCOUNT`: after how many days texts and figures are erased."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.tenancy.context import platform_context
from salient.management.base import ReportingCommand
from sessions_app.models import Retention
from sessions_app.models.lifecycle import FEWEST_DAYS_OF_FIGURES
from sessions_app.operations.lifecycle.retention import due_texts, retention_of, set_days

NEVER = 0


class Command(ReportingCommand):
    """Without options it shows the account's days, and how much is due now."""

    arguments = {"texts_days": "--texts", "figures_days": "--figures"}
    help = (
        "Set after how many days of a conversation's last message its texts are erased, and after "
        "how many its figures. The worker erases every hour what is due and not held."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("--texts", type=_days, help="days, or never")
        parser.add_argument(
            "--figures", type=_days, help=f"days, {FEWEST_DAYS_OF_FIGURES} or more, or never"
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account = find_account(options["account"])
        with platform_context():
            rule = retention_of(account.pk) or Retention(account_id=account.pk)
            texts = _wanted(options["texts"], rule.texts_days)
            figures = _wanted(options["figures"], rule.figures_days)
            is_new = (texts, figures) != (rule.texts_days, rule.figures_days)
            rule.texts_days, rule.figures_days = texts, figures
            rule.full_clean(exclude=["account"], validate_unique=False)
            if is_new and not options["dry_run"]:
                rule = set_days(account.pk, texts=texts, figures=figures)
        return {
            "account": account.slug,
            "texts_days": texts,
            "figures_days": figures,
            "changed": is_new and not options["dry_run"],
            "sessions_due": due_texts(rule),
            "sessions_erased": rule.erased_sessions if rule.finished_at else 0,
            "finished_at": rule.finished_at,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        for name, days in (("Texts", report["texts_days"]), ("Figures", report["figures_days"])):
            yield f"{name} are kept {f'{days} days' if days else 'for ever'}."
        yield f"{report['sessions_due']} conversations are due."


def _days(text: str) -> int:
    if text == "never":
        return NEVER
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("give a number of days from 1 on, or never")
    return int(text)


def _wanted(given: int | None, now: int | None) -> int | None:
    return now if given is None else (given or None)
