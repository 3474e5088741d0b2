"""A registry whose Redis is watched by Sentinels: the master dies, and all goes on with another, without a restart."""

from itertools import count
from pathlib import Path

import pytest

from tests.backends import PostgresqlServer
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.replicas import PROJECT_ID, TOKEN, Replicas, running_replicas
from tests.redis_sentinel import sentinel_redis
from tests.registry_client import open_client
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_PATIENCE_SECONDS = 120


async def test_uploads_are_published_by_way_of_the_promoted_server(
    tmp_path: Path, postgresql_server: PostgresqlServer
) -> None:
    async with sentinel_redis() as redis:
        settings = {
            "DATABASE_URL": postgresql_server.setting(postgresql_server.create_database()),
            "BLOB_URL": f"file://{tmp_path}/blobs",
            "REDIS_URL": redis.url,
        }
        async with running_replicas(tmp_path, settings, apis=1, workers=1) as replicas:
            await _publishes_at_once(replicas, "1")

            await redis.master.kill()
            await redis.promoted()

            await _publishes_at_once(replicas, "2")
            assert [part.process.poll() for part in replicas.parts] == [None, None]
        logs = "".join(part.log for part in replicas.parts)
    assert "queue.lost" in logs
    assert "pw of" not in logs
    assert "pw%20of" not in logs


async def _publishes_at_once(replicas: Replicas, major: str) -> None:
    """Return when an upload is told its verdict, for which Redis is needed."""
    versions = count()
    [api] = replicas.apis
    async with open_client(api.url, TOKEN, PROJECT_ID) as client:

        async def is_published() -> bool:
            version = f"{major}.{next(versions)}"
            content, file_name = build_wheel("pkg", version), wheel_file_name("pkg", version)
            answer = await client.upload(content, file_name=file_name, name="pkg", version=version)
            assert answer.status in (201, 202), answer
            return answer.status == 201

        await eventually(is_published, what="an upload is published at once", timeout_seconds=_PATIENCE_SECONDS)
