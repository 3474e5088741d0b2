"""Liveness and readiness."""

import asyncio
import shutil

import pytest

from services.api import lifecycle
from shared.usecases import readiness
from tests.api.registry import Registry
from tests.redis_server import RedisServer
from tests.waiting import eventually

OK = b'{"status":"ok","master_check":[{"status":"ok"}]}'
STARTING = (
    b'{"status":"failed","master_check":[{"status":"failed","message":"starting: waiting for Redis and a worker"}]}'
)
WELL = {
    "status": "ok",
    "master_check": [{"status": "ok"}],
    "database_check": [{"status": "ok"}],
    "blob_store_check": [{"status": "ok"}],
    "redis_check": [{"status": "ok"}],
    "worker_check": [{"status": "ok"}],
}


@pytest.fixture
def redis_is_given_time() -> None:
    """Let Redis be given up as usual, which here hangs."""


@pytest.fixture(autouse=True)
def _every_report_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)


async def test_a_crowd_that_asks_is_told_one_report(
    registry: Registry, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _everything_answers(registry)
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 60.0)
    redis_server.freeze()
    try:
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(registry.get("/-/readiness?all=1")) for _ in range(20)]
    finally:
        redis_server.thaw()
    assert {str(answer.result().json["redis_check"]) for answer in answers} == {"[{'status': 'ok'}]"}


async def test_health_and_liveness_need_nobody(bare_registry: Registry) -> None:
    health = await bare_registry.get("/-/health", token=None)
    assert (health.status, health.body) == (200, b"GitLab OK")
    liveness = await bare_registry.get("/-/liveness", token=None)
    assert (liveness.status, liveness.body) == (200, b'{"status":"ok"}')


async def test_a_process_is_ready_once_redis_and_a_worker_were_seen(bare_registry: Registry) -> None:
    before = await bare_registry.get("/-/readiness", token=None)
    assert (before.status, before.body) == (503, STARTING)
    await _everything_answers(bare_registry)
    after = await bare_registry.get("/-/readiness", token=None)
    assert (after.status, after.body) == (200, OK)


async def test_a_process_waits_for_them_only_so_long(bare_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "SETTLING_SECONDS", 0.0)
    assert (await bare_registry.get("/-/readiness", token=None)).status == 200


async def test_losing_redis_makes_nobody_unready_but_shows(registry: Registry, redis_server: RedisServer) -> None:
    await _everything_answers(registry)
    assert (await registry.get("/-/readiness")).status == 200
    redis_server.freeze()
    try:
        answer = await registry.get("/-/readiness?all=1")
    finally:
        redis_server.thaw()
    assert answer.status == 200
    assert answer.json["status"] == "ok"
    assert answer.json["redis_check"] == [{"status": "failed", "message": "does not answer"}]
    assert answer.json["worker_check"][0]["status"] == "failed"


async def test_a_draining_process_is_unready(registry: Registry) -> None:
    registry.lifecycle.drain()
    answer = await registry.get("/-/readiness")
    assert (answer.status, answer.body) == (
        503,
        b'{"status":"failed","master_check":[{"status":"failed","message":"shutting down"}]}',
    )
    assert answer.headers["connection"] == "close"


async def test_a_schema_that_nobody_knows_makes_the_process_unready(registry: Registry) -> None:
    await registry.rows("UPDATE alembic_version SET version_num = 'future'")
    answer = await registry.get("/-/readiness?all=1")
    assert answer.status == 503
    assert answer.json["database_check"][0]["status"] == "failed"
    assert "future" in answer.json["master_check"][0]["message"]


async def test_a_schema_that_is_brought_up_while_the_process_runs_leaves_it_ready(registry: Registry) -> None:
    await _everything_answers(registry)
    await registry.rows("UPDATE alembic_version SET version_num = '9999'")
    assert (await registry.get("/-/readiness")).status == 200
    await registry.rows("UPDATE alembic_version SET version_num = '0001'")
    assert (await registry.get("/-/readiness")).status == 503


@pytest.mark.embedded("takes the disk away")
async def test_losing_the_blob_store_makes_nobody_unready_but_shows(registry: Registry) -> None:
    await _everything_answers(registry)
    await asyncio.to_thread(shutil.rmtree, registry.settings.data_dir / "blobs")
    answer = await registry.get("/-/readiness?all=1")
    assert (answer.status, answer.json["blob_store_check"][0]["status"]) == (200, "failed")


@pytest.mark.embedded("takes the disk away")
async def test_a_process_must_have_seen_its_blob_store_once_and_looks_by_itself(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "SETTLING_SECONDS", 0.0)

    async def has_seen_it() -> bool:
        return registry.lifecycle.has_seen_blob_store

    await eventually(has_seen_it, what="it looks by itself", timeout_seconds=60)
    await asyncio.to_thread(shutil.rmtree, registry.settings.data_dir / "blobs")
    assert (await registry.get("/-/readiness")).status == 200
    registry.lifecycle.has_seen_blob_store = False
    answer = await registry.get("/-/readiness?all=1")
    assert (answer.status, answer.json["blob_store_check"][0]["status"]) == (503, "failed")


async def _everything_answers(registry: Registry) -> None:
    """Return when all is well, and is told so: on a busy machine not at once."""

    async def is_told() -> bool:
        await registry.backends.queue.beat("worker of the test")
        return bool((await registry.get("/-/readiness?all=1")).json == WELL)

    await eventually(is_told, what="everything answers", timeout_seconds=60)
