"""The alert rules name metrics that there are, and the page for operators explains each of them."""

import re
from datetime import UTC, datetime

import pytest

from services.api.metrics import ApiMetrics, looked_up
from services.worker.metrics import WorkerMetrics
from shared.metrics import show_pools
from shared.models import PackageFileStatus, PackageStatus
from shared.ports.job_queue import QueueBacklog
from shared.ports.metadata_store import PoolUse
from shared.ports.totals_rows import RegistryTotals
from shared.usecases.readiness import Check, ReadinessReport
from shared.usecases.watch import Watched
from tests.deploy.manifests import DEPLOY, read_yaml

RULES = read_yaml("prometheus/alerts.yaml")["groups"][0]["rules"]
PAGE = (DEPLOY.parent / "docs" / "operations.md").read_text(encoding="utf-8")
_METRIC = re.compile(r"\blarder_[a-z_]+")


def metric_names() -> set[str]:
    """Return what a scrape can bring, as Prometheus names it."""
    up = Check(is_ok=True)
    watched = Watched(
        RegistryTotals({PackageStatus.DEFAULT: 1}, {PackageFileStatus.DEFAULT: 1}, 1, None, None),
        QueueBacklog(jobs=0, oldest_seconds=0),
        ReadinessReport(up, up, up, up),
        datetime.now(UTC),
    )
    gauges = {metric.name for metric in looked_up(watched, version="1")}
    api, worker = ApiMetrics().registry, WorkerMetrics().registry
    show_pools(api, lambda: [PoolUse("server", in_use=1, idle=0, waiting=0, limit=5)])
    counted = {metric.name: metric.type for registry in (api, worker) for metric in registry.collect()}
    return gauges | {f"{name}_total" if kind == "counter" else name for name, kind in counted.items()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_watches_what_there_is(rule: dict[str, str]) -> None:
    named = {name.removesuffix("_bucket") for name in _METRIC.findall(rule["expr"])}
    assert named <= metric_names()
    assert named or "up{" in rule["expr"]


def test_every_alert_is_explained_once_and_no_other() -> None:
    assert re.findall(r"^\| (Larder\w+) \|", PAGE, re.MULTILINE) == [rule["alert"] for rule in RULES]


def test_every_metric_is_explained() -> None:
    assert metric_names() - set(_METRIC.findall(PAGE)) == {"larder_info"}
