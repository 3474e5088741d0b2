"""Which answers are given by the connection itself, which are not, and what holds for those that are."""

import asyncio
import ipaddress
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from services.api.ready_answers import ReadyAnswers
from shared.models import PackageFile, Visibility
from shared.principals import READ_PACKAGES
from shared.settings import Settings
from tests.api import tenants
from tests.api.published import publish
from tests.api.raw_http import RawConnection, connected, head
from tests.api.registry import ROOT_TOKEN, SIMPLE_JSON, Registry, running_registry
from tests.api.test_last_downloaded import wait_until_noted
from tests.distributions import core_metadata
from tests.waiting import eventually

PYPI = "/api/v4/projects/1/packages/pypi"
PAGE = f"{PYPI}/simple/pkg/"
LARGE = random.Random(7).randbytes(100_000)


@pytest.fixture
async def file(bare_registry: Registry) -> PackageFile:
    return await publish(bare_registry, content=b"some bytes", metadata=core_metadata("pkg", "1.0"))


@pytest.fixture
def path(file: PackageFile) -> str:
    return f"{PYPI}/files/{file.sha256}/{file.file_name}"


@pytest.fixture
async def connection(bare_registry: Registry) -> AsyncIterator[RawConnection]:
    async with connected(bare_registry) as connection:
        yield connection


def ready(registry: Registry) -> ReadyAnswers:
    assert registry.ready_answers is not None
    return registry.ready_answers


async def ask_twice(registry: Registry, *pieces: bytes) -> list[int]:
    """Send the same bytes twice, each time on a connection that waits for them; return the statuses."""
    statuses = []
    for _ in range(2):
        async with connected(registry) as connection:
            await connection.send(head("GET", "/-/liveness", token=None))
            await connection.answer()
            for piece in pieces:
                await connection.send(piece)
                await _let_them_come()
            is_head = pieces[0].startswith(b"HEAD")
            statuses.append(await _status(connection) if is_head else (await connection.answer())[0])
    return statuses


async def _let_them_come() -> None:
    """Let the server, which runs in this very loop, read what was sent."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _status(connection: RawConnection) -> int:
    return int((await connection.reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (f"{PYPI}/simple/", {}, 200),
        (PAGE, {}, 200),
        (PAGE, {"Accept": SIMPLE_JSON, "Accept_Encoding": "gzip", "Connection": "keep-alive"}, 200),
        (PAGE, {"If_None_Match": "*"}, 304),
        ("{file}", {}, 200),
        ("{file}", {"Range": "bytes=2-4"}, 206),
        ("{file}", {"If_None_Match": "*"}, 304),
        ("{file}.metadata", {}, 200),
    ],
)
async def test_pages_small_files_and_what_stands_beside_them_are_ready_at_the_second_time(
    bare_registry: Registry, path: str, target: str, headers: dict[str, str], status: int
) -> None:
    target = target.format(file=path)
    assert await ask_twice(bare_registry, head("GET", target, **headers)) == [status] * 2
    assert ready(bare_registry).given == 1
    of_no_range = 200 if status == 206 else status
    assert await ask_twice(bare_registry, head("HEAD", target, **headers)) == [of_no_range] * 2
    assert ready(bare_registry).given == 2


async def _refused(registry: Registry, path: str) -> dict[str, tuple[bytes, ...]]:
    """Return what must be answered anew each time, by what it is."""
    public = await registry.add_project("open", visibility=Visibility.PUBLIC)
    await publish(registry, public.id, content=b"of all")
    ended = datetime.now(UTC) - timedelta(days=1)
    await tenants.add_deploy_token(registry, public, "gldt-ended", scopes=(READ_PACKAGES,), expires_at=ended)
    large = await publish(registry, version="2.0", file_name="large-2.0.tar.gz", content=LARGE)
    open_page = f"/api/v4/projects/{public.id}/packages/pypi/simple/pkg/"
    page = head("GET", PAGE)
    by_id = f"/api/v4/projects/1/packages/{large.package_id}/package_files/{large.id}/download"
    return {
        "nobody": (head("GET", PAGE, token=None),),
        "a wrong secret": (head("GET", PAGE, token="glpat-wrong"),),
        "a wrong secret where none is needed": (head("GET", open_page, token=None, Deploy_Token="gldt-wrong"),),
        "an ended secret where none is needed": (head("GET", open_page, token=None, Deploy_Token="gldt-ended"),),
        "an administrator as somebody else": (head("GET", f"{PAGE}?sudo=root"),),
        "an unknown name": (head("GET", f"{PYPI}/simple/unknown/"),),
        "an unknown project": (head("GET", "/api/v4/projects/4711/packages/pypi/simple/"),),
        "another spelling": (head("GET", f"{PYPI}/simple/PKG/"),),
        "what nobody takes": (head("GET", PAGE, Accept="image/png"),),
        "what fails a condition": (head("GET", path, If_Match='"other"'),),
        "what cannot be satisfied": (head("GET", path, Range="bytes=999-"),),
        "a large file": (head("GET", f"{PYPI}/files/{large.sha256}/{large.file_name}"),),
        "a file by its number": (head("GET", by_id),),
        "a list of packages": (head("GET", "/api/v4/projects/1/packages"),),
        "HTTP/1.0": (page.replace(b"HTTP/1.1", b"HTTP/1.0"),),
        "the last of its connection": (head("GET", PAGE, Connection="close"),),
        "a body": (head("GET", PAGE, Content_Length="0"),),
        "an upgrade": (head("GET", PAGE, Upgrade="h2c"),),
        "an expectation": (head("GET", PAGE, Expect="100-continue"),),
        "a long head": (head("GET", PAGE, X_Long="x" * 4096),),
        "two pieces": (page[:30], page[30:]),
        "an empty line before it": (b"\r\n" + page,),
        "an empty line that came alone": (b"\r\n", page),
    }


async def test_nothing_else_is_ever_ready(bare_registry: Registry, path: str) -> None:
    was_given = []
    for what, pieces in (await _refused(bare_registry, path)).items():
        before = ready(bare_registry).given
        await ask_twice(bare_registry, *pieces)
        if ready(bare_registry).given != before:
            was_given.append(what)
    assert was_given == []
    assert len(ready(bare_registry)) == 0


async def test_nothing_is_ready_where_it_is_switched_off(settings: Settings) -> None:
    for number, off in enumerate((replace(settings, keeps_ready_answers=False), replace(settings, cache_bytes=0))):
        async with running_registry(off) as registry:
            assert registry.ready_answers is None
            await publish(registry, file_name=f"pkg-1.{number}.tar.gz")
            assert await ask_twice(registry, head("GET", PAGE)) == [200, 200]


async def test_a_download_that_was_ready_is_noted(bare_registry: Registry, file: PackageFile, path: str) -> None:
    noted: list[object] = []
    ready(bare_registry)._note_download = noted.append
    await ask_twice(bare_registry, head("HEAD", path))
    assert (ready(bare_registry).given, noted) == (1, [])
    await ask_twice(bare_registry, head("GET", path))
    assert (ready(bare_registry).given, noted) == (2, [file.package_id])
    await wait_until_noted(bare_registry, file)


async def test_the_use_of_a_token_is_noted_each_minute(bare_registry: Registry, file: PackageFile) -> None:
    later = timedelta(0)
    ready(bare_registry)._now = lambda: datetime.now(UTC) + later
    await ask_twice(bare_registry, head("GET", PAGE))
    later = timedelta(seconds=30)
    await ask_twice(bare_registry, head("GET", PAGE))
    assert ready(bare_registry).given == 3
    later = timedelta(seconds=61)
    await ask_twice(bare_registry, head("GET", PAGE))
    assert ready(bare_registry).given == 3


async def test_a_client_that_is_blocked_is_given_nothing(
    bare_registry: Registry, file: PackageFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask_twice(bare_registry, head("GET", PAGE))
    attempts = ready(bare_registry)._failed_attempts
    monkeypatch.setattr(type(attempts), "seconds_blocked", lambda *_: 7.0)
    assert await ask_twice(bare_registry, head("GET", PAGE)) == [429, 429]
    assert ready(bare_registry).given == 1


async def test_a_process_that_drains_ends_the_connection(
    bare_registry: Registry, file: PackageFile, connection: RawConnection
) -> None:
    await ask_twice(bare_registry, head("GET", PAGE))
    await connection.send(head("GET", PAGE))
    await connection.answer()
    bare_registry.lifecycle.drain()
    await connection.send(head("GET", PAGE))
    assert (await connection.answer())[0] == 200
    assert b"\r\nConnection: close\r\n" in connection.heads[-1]


async def test_no_secret_is_kept(bare_registry: Registry, file: PackageFile) -> None:
    await ask_twice(bare_registry, head("GET", PAGE))
    kept = ready(bare_registry)._answers
    assert len(kept) == 1
    assert ROOT_TOKEN not in repr(kept)
    assert all(len(key) == 32 for key in kept)


async def test_each_answer_is_a_line_with_an_id_of_its_own(bare_registry: Registry, file: PackageFile) -> None:
    with structlog.testing.capture_logs() as logs:
        await ask_twice(bare_registry, head("GET", PAGE))
    first, second = [line for line in logs if "simple" in str(line.get("route"))]
    assert ready(bare_registry).given == 1
    assert first.keys() | {"request_id"} == second.keys()  # It is bound for the others.
    assert [line["client"] for line in (first, second)] == ["127.0.0.1"] * 2
    assert isinstance(second["seconds"], float)


async def test_what_is_asked_for_the_least_goes_first(bare_registry: Registry, file: PackageFile) -> None:
    answers = ready(bare_registry)
    await ask_twice(bare_registry, head("GET", PAGE))
    (key,) = answers._answers
    answers._limit_bytes = 16 * answers._answers[key].cost_bytes
    for number in range(40):
        answers.keep(b"%d" % number, answers._answers[key])
        assert answers.find(key) is not None
    assert 10 < len(answers) <= 16
    assert answers.find(b"1") is None
    assert answers.find(b"39") is not None


async def test_requests_under_way_are_counted_to_their_end(bare_registry: Registry, file: PackageFile) -> None:
    await ask_twice(bare_registry, head("GET", PAGE))
    begun = bare_registry.lifecycle.requests_begun
    await ask_twice(bare_registry, head("GET", PAGE))
    assert bare_registry.lifecycle.requests_begun > begun

    async def is_idle() -> bool:
        return bare_registry.lifecycle.requests_under_way == 0

    await eventually(is_idle, what="nothing is under way", timeout_seconds=5)


async def test_what_a_proxy_says_counts_for_proxies_alone(settings: Settings) -> None:
    trusting = replace(settings, trusted_proxies=(ipaddress.ip_network("127.0.0.2/32"),))
    said = {"X_Forwarded_Host": "registry.example", "X_Forwarded_For": "192.0.2.7"}
    async with running_registry(trusting) as registry:
        await publish(registry, content=b"1")
        clients, hosts = [], []
        for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3") * 2:
            with structlog.testing.capture_logs() as logs:
                async with connected(registry, local_address=address) as connection:
                    await connection.send(head("GET", PAGE, **said))
                    hosts.append(b"//registry.example/" in (await connection.answer())[1])
            clients += [line["client"] for line in logs if line["event"] == "request.finished"]
        assert hosts == [False, True, False] * 2
        assert clients == ["127.0.0.1", "192.0.2.7", "127.0.0.3"] * 2
        assert ready(registry).given == 4
