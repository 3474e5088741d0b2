"""A process's metrics, shown together with those of the other processes that `larder serve` runs on one port.

Prometheus reaches whichever of them answers. So each writes what it has counted into a file every few seconds, and each
shows all files, with a label that says of which process they tell: a counter then only ever falls where its process
has gone, as Prometheus expects it. A process that runs by itself shows its own, without that label.

Not prometheus-client's own way for several processes: it writes into mapped memory of files, and a process that does so
on a full disk is killed (SIGBUS).
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from shared.ports.metadata_store import PoolUse

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""The one that every Prometheus reads."""
DIRECTORY = "metrics"
"""In the data directory, where `larder serve` makes it."""
_WRITE_SECONDS = 5.0
_DEAD_AFTER_SECONDS = 30.0
_WHEN_MADE = "_created"
"""What prometheus-client adds to each counter, and nobody reads."""

log = structlog.get_logger()


def _nothing() -> None:
    """Count nothing elsewhere."""


class Numbers:
    """What this process has counted, and where its siblings leave what they have.

    Args:
        title: what `ps` shows: "larder api".
        data_dir: of the registry.
        bring_up: called before the registry is read, for what is counted elsewhere.
    """

    def __init__(
        self, registry: CollectorRegistry, *, title: str, data_dir: Path, bring_up: Callable[[], None] = _nothing
    ) -> None:
        self._registry = registry
        self._bring_up = bring_up
        self._directory = data_dir / DIRECTORY
        self._process = f"{title.removeprefix('larder ')}:{os.getpid()}"
        self._path = self._directory / f"{self._process}.prom"

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """While the block runs, let the siblings know, if there may be any."""
        if not self._directory.is_dir():
            yield
            return
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._keep_writing(), name="larder metrics")
            try:
                yield
            finally:
                writing.cancel()
                with suppress(OSError):
                    self._path.unlink()

    async def exposition(self, gauges: Iterable[Metric] = ()) -> bytes:
        """Return everything as Prometheus reads it.

        Args:
            gauges: what was looked up just now, and is the same for all processes.
        """
        self._bring_up()
        return await asyncio.to_thread(self._exposition, gauges)

    def _exposition(self, gauges: Iterable[Metric]) -> bytes:
        shown = CollectorRegistry()
        shown.register(_Metrics((*self._counted(), *gauges)))
        return generate_latest(shown)

    def _counted(self) -> Iterable[Metric]:
        if not self._directory.is_dir():
            return _without_times(self._registry.collect())
        merged: dict[str, Metric] = {}
        _add(merged, self._process, self._registry.collect())
        for process, families in self._siblings():
            _add(merged, process, families)
        return merged.values()

    def _siblings(self) -> Iterator[tuple[str, Iterable[Metric]]]:
        for path in sorted(self._directory.glob("*.prom")):
            with suppress(OSError):
                if path != self._path and time.time() - path.stat().st_mtime < _DEAD_AFTER_SECONDS:
                    yield path.stem, text_string_to_metric_families(path.read_text(encoding="utf-8"))

    async def _keep_writing(self) -> None:
        while True:
            self._bring_up()
            try:
                await asyncio.to_thread(self._write)
            except OSError as error:
                log.warning("metrics.not_written", error=error.strerror)
            await asyncio.sleep(_WRITE_SECONDS)

    def _write(self) -> None:
        unfinished = self._path.with_suffix(".part")
        unfinished.write_bytes(generate_latest(self._registry))
        unfinished.replace(self._path)


def show_pools(registry: CollectorRegistry, look: Callable[[], Iterable[PoolUse]]) -> None:
    """Have the registry tell what the process does with its connections to the database, whenever it is asked."""
    registry.register(_Pools(look))


class _Pools(Collector):
    def __init__(self, look: Callable[[], Iterable[PoolUse]]) -> None:
        self._look = look

    def collect(self) -> Iterable[Metric]:
        connections = GaugeMetricFamily(
            "larder_database_connections", "Open connections to the database.", labels=("pool", "state")
        )
        most = GaugeMetricFamily("larder_database_connections_max", "How many of them may be in use.", labels=("pool",))
        waiting = GaugeMetricFamily(
            "larder_database_waiting", "Transactions that wait for a connection.", labels=("pool",)
        )
        for pool in self._look():
            connections.add_metric((pool.name, "in_use"), pool.in_use)
            connections.add_metric((pool.name, "idle"), pool.idle)
            most.add_metric((pool.name,), pool.limit)
            waiting.add_metric((pool.name,), pool.waiting)
        yield from (connections, most, waiting)


class _Metrics(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _add(merged: dict[str, Metric], process: str, families: Iterable[Metric]) -> None:
    for family in _without_times(families):
        into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        for sample in family.samples:
            into.add_sample(sample.name, {**sample.labels, "process": process}, sample.value)


def _without_times(families: Iterable[Metric]) -> Iterator[Metric]:
    for family in families:
        family.samples = [one for one in family.samples if not one.name.endswith(_WHEN_MADE)]
        if family.samples:
            yield family
