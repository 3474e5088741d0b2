"""What an API process counts, and what is looked up when somebody wants to see it.

Labels have few values: routes of the URL table, methods and statuses; never a name, a path or a client.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from shared.models import PackageFileStatus, PackageStatus
from shared.usecases.readiness import ReadinessReport
from shared.usecases.watch import Watched

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_NO_ROUTE = "none"
_OTHER_METHOD = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CUT_OFF = "cut_off"


@dataclass(frozen=True, slots=True)
class _OfKind:
    """What is counted of requests of one method, route and status."""

    requests: Counter
    seconds: Histogram
    sent: Counter
    received: Counter


class ApiMetrics:
    """The numbers of one API process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter(
            "larder_requests", "Requests that were answered, or cut off.", labels, registry=self.registry
        )
        self._seconds = Histogram(
            "larder_request_seconds",
            "From the head of a request until its answer was made; an upload waits for its verdict.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._sent = Counter("larder_sent_bytes", "Bytes of answers' bodies.", ("route",), registry=self.registry)
        self._received = Counter(
            "larder_received_bytes", "Bytes of requests' bodies.", ("route",), registry=self.registry
        )
        self._lookups = Counter(
            "larder_memory_lookups", "Looks into what is remembered of rows.", ("result",), registry=self.registry
        )
        self._ready = Counter(
            "larder_ready_answers",
            "Requests seen before, byte for byte: given the same answer, or outdated.",
            ("result",),
            registry=self.registry,
        )
        # Finding them by their labels takes longer than counting.
        self._of_kind: dict[tuple[str, str | None, int | None], _OfKind] = {}
        self._noted: dict[str, int] = {}

    def note_request(
        self,
        *,
        method: str,
        route: str | None,
        status: int | None,
        seconds: float,
        sent_bytes: int | None,
        received_bytes: int,
    ) -> None:
        """Count a request.

        Args:
            route: its path in the URL table; None for what is not in it.
            status: None when it was cut off.
            seconds: how long it took.
            sent_bytes: of the answer's body; None where nobody knew before.
        """
        key = (method if method in _METHODS else _OTHER_METHOD, route, status)
        of_kind = self._of_kind.get(key)
        if of_kind is None:
            of_kind = self._of_kind[key] = self._children(*key)
        of_kind.requests.inc()
        of_kind.seconds.observe(seconds)
        if sent_bytes:
            of_kind.sent.inc(sent_bytes)
        if received_bytes:
            of_kind.received.inc(received_bytes)

    def note_lookups(self, *, found: int, missed: int) -> None:
        """Bring the count of looks into the memory up to what they are by now."""
        self._bring_up(self._lookups, {"found": found, "missed": missed})

    def note_ready_answers(self, *, given: int, outdated: int) -> None:
        """Bring the count of ready answers up to what they are by now."""
        self._bring_up(self._ready, {"given": given, "outdated": outdated})

    def _bring_up(self, counter: Counter, results: Mapping[str, int]) -> None:
        for result, count in results.items():
            counter.labels(result).inc(count - self._noted.get(result, 0))
            self._noted[result] = count

    def _children(self, method: str, route: str | None, status: int | None) -> "_OfKind":
        path = route or _NO_ROUTE
        return _OfKind(
            requests=self._requests.labels(method, path, str(status or _CUT_OFF)),
            seconds=self._seconds.labels(path),
            sent=self._sent.labels(path),
            received=self._received.labels(path),
        )


def looked_up(watched: Watched, *, version: str) -> Iterable[Metric]:
    """Yield what the registry as a whole holds, and how it fares."""
    info = GaugeMetricFamily("larder_info", "Which version this is; always 1.", labels=("version",))
    info.add_metric((version,), 1)
    yield info
    yield _parts(watched.readiness)
    if watched.backlog is not None:
        yield GaugeMetricFamily("larder_queue_jobs", "Jobs that are queued or running.", value=watched.backlog.jobs)
        yield GaugeMetricFamily(
            "larder_queue_oldest_seconds",
            "For how long the first job of the queue has been due.",
            value=watched.backlog.oldest_seconds,
        )
    totals = watched.totals
    if totals is None:
        return
    packages = GaugeMetricFamily("larder_packages", "Packages in each status.", labels=("status",))
    files = GaugeMetricFamily("larder_package_files", "Package files in each status.", labels=("status",))
    # A status that nothing is in is told as well: an alert cannot compare with what was not there.
    for package_status in PackageStatus:
        packages.add_metric((package_status,), totals.packages.get(package_status, 0))
    for file_status in PackageFileStatus:
        files.add_metric((file_status,), totals.files.get(file_status, 0))
    yield packages
    yield files
    yield GaugeMetricFamily("larder_stored_bytes", "What all package files hold.", value=totals.stored_bytes)
    yield GaugeMetricFamily(
        "larder_oldest_waiting_file_seconds",
        "For how long a file has waited for its verdict at most.",
        value=_age(totals.waiting_since, watched.at),
    )
    yield GaugeMetricFamily(
        "larder_oldest_doomed_file_seconds",
        "For how long the bytes of a deleted file have waited for their removal at most.",
        value=_age(totals.doomed_since, watched.at),
    )


def _parts(report: ReadinessReport) -> Metric:
    family = GaugeMetricFamily("larder_part_up", "Whether a part answers: 1 or 0.", labels=("part",))
    for name in ("database", "blob_store", "redis", "worker"):
        family.add_metric((name,), 1 if getattr(report, name).is_ok else 0)
    return family


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0
