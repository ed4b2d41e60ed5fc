"""Encrypts every stored secret again with the first key of SECRET_ENCRYPTION_KEYS."""

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
        "Encrypt every stored secret again with the first key of SECRET_ENCRYPTION_KEYS. Put a new "
        "key first, restart, run this, and only then remove the old key."
    )

    def report(self, **options: Any) -> Mapping[str, Any]:
        rotation, write = Rotation(), not options["dry_run"]
        reseal_keys(rotation, write=write)
        reseal_secrets(rotation, write=write)
        if rotation.unreadable:
            raise Refused(
                f"No key decrypts these, so set them again: {', '.join(rotation.unreadable)}. "
                f"Encrypted again: {rotation.resealed}; current: {rotation.current}."
            )
        return asdict(rotation) | {"dry_run": options["dry_run"]}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        would = "Would be encrypted again" if report["dry_run"] else "Encrypted again"
        yield f"{would}: {report['resealed']}. Under the first key already: {report['current']}."
