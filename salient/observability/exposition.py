"""The text of /metrics: what the processes counted, and what the database says."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from salient.observability.recorder import of_all_processes
from salient.observability.stored import Figure

__all__ = ["CONTENT_TYPE", "exposed"]


class _Stored(Collector):
    def __init__(self, figures: list[Figure] | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        up = 0 if self._figures is None else 1
        yield GaugeMetricFamily(
            "salient_database_up", "1 if the database returned its figures in time.", value=up
        )
        for figure in self._figures or ():
            family = GaugeMetricFamily(f"salient_{figure.name}", figure.help, labels=figure.labels)
            for labels, value in figure.values.items():
                family.add_metric(labels, value)
            yield family


def exposed(figures: list[Figure] | None) -> bytes:
    """Write everything; it reads a few files, so a thread calls it."""
    stored = CollectorRegistry()
    stored.register(_Stored(figures))
    return generate_latest(of_all_processes()) + generate_latest(stored)
