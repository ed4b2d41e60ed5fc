"""`manage.py webhooks`: what waits to be delivered, and to which endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from accounts.webhooks.log import backlog
from salient.management.base import ReportingCommand


class Command(ReportingCommand):
    help = "Show the backlog of webhooks: what waits, since when, and which endpoints fail."
    writes: ClassVar[bool] = False

    def report(self, **_options: Any) -> Mapping[str, Any]:
        return backlog()

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        for each in report["endpoints"]:
            failing = each["failing_since"]
            since = f", fails since {_moment(failing)}" if failing else ""
            yield f"{each['account']}  {each['url']}  {each['pending']} waiting{since}"
        oldest = f", the oldest since {_moment(report['oldest'])}" if report["oldest"] else ""
        yield (
            f"{report['pending']} waiting, {report['due']} of them due, "
            f"{report['retrying']} tried before{oldest}. "
            f"Disabled endpoints: {report['disabled_endpoints']}."
        )


def _moment(moment: datetime) -> str:
    return f"{moment:%F %T} UTC"
