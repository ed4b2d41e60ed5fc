"""Seals every stored secret under the first key of SECRET_ENCRYPTION_KEYS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from accounts.tenancy.resealing import Rotation
from accounts.webhooks.signing import reseal_secrets
from agents.connections.connections import reseal_keys
from salient.management.base import Refused, ReportingCommand


class Command(ReportingCommand):
    help = (
        "Seal every stored secret under the first key of SECRET_ENCRYPTION_KEYS. Put a new key in "
        "front, restart, run this, and only then take the old key away."
    )

    def report(self, **options: Any) -> Mapping[str, Any]:
        rotation, write = Rotation(), not options["dry_run"]
        reseal_keys(rotation, write=write)
        reseal_secrets(rotation, write=write)
        if rotation.unreadable:
            raise Refused(
                f"No key opens these, so set their keys anew: {', '.join(rotation.unreadable)}. "
                f"Sealed anew: {rotation.resealed}; current: {rotation.current}."
            )
        return asdict(rotation) | {"dry_run": options["dry_run"]}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        would = "Would be sealed anew" if report["dry_run"] else "Sealed anew"
        yield f"{would}: {report['resealed']}. Under the first key already: {report['current']}."
