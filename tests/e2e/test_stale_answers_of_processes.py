"""Nobody gets a stale answer from any API process, while somebody writes all the time.

The processes are those of one `larder serve`, and replicas that have nothing but PostgreSQL, S3 and Redis in common.
"""

from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.backends import PostgresqlServer
from tests.doors import SessionDoor
from tests.e2e.pinned_sessions import pinned_sessions
from tests.e2e.processes import running_larder
from tests.e2e.replicas import TOKEN, running_replicas
from tests.redis_server import RedisServer
from tests.s3_server import S3Server, s3_credentials
from tests.stale_answers import look_for_stale_answers

__all__ = ["s3_credentials"]  # a fixture of its own module

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

_AT_ONCE = 6


async def test_twenty_thousand_answers_tell_what_was_written_before_they_were_asked_for(tmp_path: Path) -> None:
    # Tokens that have ended are tried all the time.
    with running_larder(tmp_path / "var", {"AUTH_FAILURES_PER_MINUTE": "1000000"}) as larder:
        async with pinned_sessions(larder.url, larder.pids("larder api"), each=_AT_ONCE) as sessions:
            doors = [SessionDoor.of(larder.url, *of_one) for of_one in sessions.values()]
            findings = await look_for_stale_answers(doors, larder.token, tellers=4, writes=244, seed=11)
    assert findings.stale == []
    assert len(doors) == 2
    assert findings.checks == 20_090
    assert sum(findings.writes.values()) == 4 * 244


async def test_nor_do_replicas_on_postgresql_tell_anything_stale(
    tmp_path: Path,
    postgresql_server: PostgresqlServer,
    s3_server: S3Server,
    redis_server: RedisServer,
    s3_credentials: object,
) -> None:
    settings = {
        "AUTH_FAILURES_PER_MINUTE": "1000000",
        "DATABASE_URL": postgresql_server.setting(postgresql_server.create_database()),
        "BLOB_URL": s3_server.blob_url(s3_server.new_prefix()),
        "REDIS_URL": redis_server.url,
        "UPLOAD_WAIT_SECONDS": "60",
    }
    async with running_replicas(tmp_path, settings, apis=2, workers=1) as replicas, AsyncExitStack() as stack:
        doors = []
        for api in replicas.apis:
            sessions = [await stack.enter_async_context(aiohttp.ClientSession()) for _ in range(_AT_ONCE)]
            doors.append(SessionDoor.of(api.url, *sessions))
        findings = await look_for_stale_answers(doors, TOKEN, tellers=2, writes=60, seed=13)
    assert findings.stale == []
    assert sum(findings.writes.values()) == 2 * 60
    assert findings.checks > 2_000
