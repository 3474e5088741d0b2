"""Redis as operators reach it elsewhere: by TLS, with user and password, and behind Sentinels that promote another."""

import asyncio
import shutil
import ssl
import subprocess
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import quote

import pytest

from shared.errors import QueueUnavailable, SettingsInvalid
from shared.models import PackageFileId
from shared.ports.job_queue import DestroyPackageFileJob, JobQueue, QueueState, VerdictWatch
from shared.queue.arq_queue import open_arq_queue
from shared.queue.failed_attempts import open_failed_attempts
from shared.queue.sentinel import parse_sentinel_url
from tests.backends import backend_is_missing
from tests.contracts.queue.workers import PATIENCE_SECONDS, Desk, until, working
from tests.redis_sentinel import sentinel_redis
from tests.redis_server import new_redis_server
from tests.relay import Relay

pytestmark = pytest.mark.slow

_THERE = QueueState(reachable=True, worker_seen=False)
_AWAY = QueueState(reachable=False, worker_seen=False)
_FILE = PackageFileId(7)


@asynccontextmanager
async def _tls_redis(directory: Path, name: str) -> AsyncIterator[tuple[int, Path]]:
    """Run a Redis behind TLS, with a certificate for this name; give its port and what it is to be trusted by."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    await asyncio.to_thread(_make_certificate, certificate, key, name)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with new_redis_server(options=("user larder on >hunter22/@ ~* &* +@all -@dangerous +info",)) as server:
        await server.start()
        socket = Path(server.url.removeprefix("unix://"))
        async with Relay(lambda: socket).listening(tls=tls) as relay:
            yield relay.port, certificate


def _make_certificate(certificate: Path, key: Path, name: str) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        backend_is_missing("there is no openssl here")
    subprocess.run(
        (
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis"),
            *("-addext", f"subjectAltName={name}", "-keyout", key, "-out", certificate),
        ),
        check=True,
        capture_output=True,
        timeout=60,
    )


async def test_tls_with_a_user_and_a_password(tmp_path: Path) -> None:
    async with _tls_redis(tmp_path, "IP:127.0.0.1") as (port, certificate):
        url = f"rediss://larder:{quote('hunter22/@', safe='')}@127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
        async with open_arq_queue(url) as queue, open_arq_queue(url) as other, queue.watch(_FILE) as watch:
            assert await queue.state() == _THERE
            await other.announce(_FILE)
            assert await watch.wait(timeout_seconds=PATIENCE_SECONDS)
        async with open_failed_attempts(url, limit=1, note_seconds=PATIENCE_SECONDS) as failed:
            assert await failed.note(IPv4Address("127.0.0.7")) == 0
            assert await failed.note(IPv4Address("127.0.0.7")) > 0


@pytest.mark.parametrize(
    ("name", "user", "options"),
    [
        ("DNS:elsewhere.example", "larder:hunter22%2F%40", "?ssl_ca_certs={}"),
        ("IP:127.0.0.1", "larder:hunter22%2F%40", ""),
        ("IP:127.0.0.1", "larder:hunter21", "?ssl_ca_certs={}"),
    ],
    ids=["a certificate of another", "a certificate of nobody", "a wrong password"],
)
async def test_who_is_not_who_was_meant_is_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, user: str, options: str
) -> None:
    async with (
        _tls_redis(tmp_path, name) as (port, certificate),
        open_arq_queue(f"rediss://{user}@127.0.0.1:{port}{options.format(certificate)}") as queue,
    ):
        assert await queue.state() == _AWAY
    told = capsys.readouterr()
    assert "hunter2" not in told.out + told.err


@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")  # by arq's own Worker.close
async def test_all_goes_on_with_the_server_that_the_sentinel_has_promoted(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    async with (
        sentinel_redis() as redis,
        open_arq_queue(redis.url) as queue,
        open_arq_queue(redis.url) as other,
        open_failed_attempts(redis.url, limit=0, note_seconds=PATIENCE_SECONDS) as failed,
        working(redis.url, queue, desk),
        queue.watch(_FILE) as watch,
    ):
        await _is_well(queue, other, desk, watch, number=1)

        await redis.master.kill()
        await redis.promoted()

        await _is_well(queue, other, desk, watch, number=2)
        assert await failed.note(IPv4Address("127.0.0.7")) > 0
    told = capsys.readouterr()
    assert "pw of" not in told.out + told.err + caplog.text
    assert "pw%20of" not in told.out + told.err + caplog.text


async def _is_well(queue: JobQueue, other: JobQueue, desk: Desk, watch: VerdictWatch, *, number: int) -> None:
    """Return when a job of this number was done, and an announcement was heard."""

    async def is_done() -> bool:
        with suppress(QueueUnavailable):
            await queue.enqueue(DestroyPackageFileJob(PackageFileId(number)))
        return any(done[0] == f"destroy:{number}" for done in desk.done)

    async def is_heard() -> bool:
        await other.announce(_FILE)
        return await watch.wait(timeout_seconds=0.1)

    await until(is_done)
    await until(is_heard)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://",
        "redis+sentinel://:hunter22@/mymaster",
        "redis+sentinel://:hunter22@one,two",
        "redis+sentinel://:hunter22@one,,two/mymaster",
        "redis+sentinel://:hunter22@one:port/mymaster",
        "redis+sentinel://:hunter22@one/mymaster/first",
        "rediss+sentinel://:hunter22@one/mymaster?no_such_option=1",
    ],
)
async def test_a_url_of_sentinels_that_says_too_little_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        async with open_arq_queue(url):
            pass

    assert "LARDER_REDIS_URL" in caught.value.problem
    assert "ter22" not in "".join(traceback.format_exception(caught.value))


def test_a_url_of_sentinels_says_who_is_asked_and_for_whom() -> None:
    found = parse_sentinel_url("rediss+sentinel://u:p%40@one,[::1]:1/m%2Fm/3?sentinel_password=x%26y&ssl_ca_certs=/ca")

    assert found.addresses == (("one", 26379), ("::1", 1))
    assert found.service == "m/m"
    assert found.master_url == "rediss://u:p%40@/3?ssl_ca_certs=%2Fca"
    assert found.credentials == {"password": "x&y"}
    assert "p%40" not in repr(found)
    assert "x&y" not in repr(found)
