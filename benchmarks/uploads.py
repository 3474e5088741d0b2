"""Uploads: of the corpus, of many small wheels by eight clients, and of a large one."""

import asyncio
import http.client
import statistics
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from benchmarks.corpus import Wheel
from benchmarks.figures import Figure, Figures
from benchmarks.processes import cpu_seconds
from benchmarks.servers.server import Publication, Server
from benchmarks.wire import Connection, request_head
from tests.e2e.resident_memory import PeakWatcher

CLIENTS = 8
_PATIENCE_SECONDS = 300.0
_ALONE = 20
_LOOK_AT_EACH = 10
"""So many uploads of a client, and the page of the last is looked at before it goes on."""


class WasNotTakenError(Exception):
    """An upload was refused."""


async def publish_all(server: Server, wheels: Sequence[Wheel], *, clients: int = CLIENTS) -> None:
    """Upload them, so many at a time."""
    assert server.publication is not None
    waiting = list(reversed(wheels))
    publication = server.publication

    async def work() -> None:
        connection = Connection(server.index)
        while waiting:
            one = publication(waiting.pop())
            await _publish(connection, one, request_of(one))
        await connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(work())


def measure_small(server: Server, wheels: Sequence[Wheel], *, seconds: float, note: Callable[[str], None]) -> Figures:
    """Upload as many of them as eight clients get through in this time; each has to be on its page when it is answered.

    Args:
        note: is told what was not.
    """
    assert server.publication is not None
    publications = [server.publication(wheel) for wheel in wheels]
    pids = server.pids()
    before, own_before = cpu_seconds(pids), time.process_time()
    started_at = time.perf_counter()
    done, unseen = asyncio.run(_publish_for(server, publications, seconds=seconds))
    took = time.perf_counter() - started_at
    own = time.process_time() - own_before
    cpu = cpu_seconds(pids) - before
    unseen += asyncio.run(_unseen(server, done))
    if unseen:
        note(f"{server.name}: {unseen} of {len(done)} small uploads were not on their pages when they were answered")
    # As long as one client waits alone, who is told nothing by the throughput of eight.
    alone = asyncio.run(_publish_alone(server, publications[len(done) :][:_ALONE]))
    figure = Figure(
        len(done) / took, cpu_each=cpu / len(done), memory=server.largest_bytes(), generator_cores=own / took
    )
    return {"small-uploads": figure} | ({"small-upload": Figure(statistics.median(alone) * 1000)} if alone else {})


def measure_large(server: Server, wheel: Wheel) -> Figures:
    """Upload a large wheel: seconds from its first byte to the answer, and by how much the server grew meanwhile."""
    assert server.publication is not None
    one = server.publication(wheel)
    pids = server.pids()
    before, own_before = cpu_seconds(pids), time.process_time()
    with PeakWatcher(server.measured_pids()) as watcher:
        took = _send_large(one)
    own = time.process_time() - own_before
    cpu = cpu_seconds(pids) - before
    upload = Figure(took, cpu_each=cpu, memory=server.largest_bytes(), generator_cores=own / took)
    return {"upload": upload, "upload-rise": Figure(max(watcher.rises.values()) / (1024 * 1024))}


def _send_large(one: Publication) -> float:
    parts = urlsplit(one.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE_SECONDS)
    connection.connect()
    try:
        with one.wheel.path.open("rb") as file:
            started_at = time.perf_counter()
            connection.sock.sendall(request_head(one.method, one.url, one.headers) + one.before)
            connection.sock.sendfile(file)
            connection.sock.sendall(one.after)
            answer = http.client.HTTPResponse(connection.sock, method=one.method)
            answer.begin()
            took = time.perf_counter() - started_at
            if answer.status not in (200, 201, 204):
                raise WasNotTakenError(one.url, answer.status, answer.read())
    finally:
        connection.close()
    return took


async def _publish_for(
    server: Server, publications: Sequence[Publication], *, seconds: float
) -> tuple[list[Publication], int]:
    """Return what was uploaded in this time, and how much of it was looked for at once and not there."""
    waiting = [(one, request_of(one)) for one in reversed(publications)]
    done: list[Publication] = []
    unseen = 0
    until = time.monotonic() + seconds

    async def work() -> None:
        nonlocal unseen
        connection = Connection(server.index)
        own = 0
        while waiting and time.monotonic() < until:
            one, request = waiting.pop()
            await _publish(connection, one, request)
            done.append(one)
            own += 1
            if own % _LOOK_AT_EACH == 0:
                unseen += not await _is_seen(server, connection, one)
        await connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(work())
    return done, unseen


async def _publish_alone(server: Server, publications: Sequence[Publication]) -> list[float]:
    """Upload them one after another; return the seconds that each took."""
    connection = Connection(server.index)
    took = []
    for one in publications:
        request = request_of(one)
        started_at = time.perf_counter()
        await _publish(connection, one, request)
        took.append(time.perf_counter() - started_at)
    await connection.close()
    return took


async def _unseen(server: Server, done: Sequence[Publication]) -> int:
    connection = Connection(server.index)
    seen = [await _is_seen(server, connection, one) for one in done]
    await connection.close()
    return seen.count(False)


async def _is_seen(server: Server, connection: Connection, one: Publication) -> bool:
    told = await connection.ask(request_head("GET", one.page, server.headers))
    is_itself = one.page.endswith(one.wheel.file_name)
    return told.status == 200 and (is_itself or one.wheel.file_name.encode() in told.body)


async def _publish(connection: Connection, one: Publication, request: bytes) -> None:
    told = await connection.ask(request)
    if told.status not in (200, 201, 204):
        raise WasNotTakenError(one.url, told.status, told.body)


def request_of(one: Publication) -> bytes:
    """Return the whole request that uploads the wheel."""
    return b"".join(
        (request_head(one.method, one.url, one.headers), one.before, one.wheel.path.read_bytes(), one.after)
    )
