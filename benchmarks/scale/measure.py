"""What requests cost in registries of different sizes, each asked in turn; reads are derived anew each time."""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.corpus import Wheel, small_wheel
from benchmarks.scale.registry import ScaledRegistry
from benchmarks.servers.larder import TOKEN
from benchmarks.uploads import request_of
from benchmarks.wire import Connection, Told, request_head

UPLOAD, DELETE = "upload", "delete"
Milliseconds = Mapping[str, Sequence[Sequence[float]]]
"""By title: for each registry, of each request."""
_UPLOADED = "published"
_COUNT = "INSERT INTO change_counters (scope, id, value) VALUES"
_AGAIN = "ON CONFLICT (scope, id) DO UPDATE SET value = change_counters.value + 1"
_SWEEPS_SECONDS = 8.0
"""Within which each worker has swept twice."""


class Requests:
    """Sends requests to one registry, and tells how long each took."""

    def __init__(self, registry: ScaledRegistry, database: asyncpg.Connection) -> None:
        self._registry = registry
        self._database = database
        self._connection = Connection(registry.server.index)

    async def read(self, title: str) -> float:
        """Read what has just changed."""
        read = self._registry.reads[title]
        await self._count_changes()
        took, told = await self._ask(request_head("GET", read.url, read.headers))
        assert told.status == 200, (title, told)
        return took

    async def ask_again(self, title: str) -> None:
        """Read what has not changed."""
        read = self._registry.reads[title]
        _, told = await self._ask(request_head("GET", read.url, read.headers))
        assert told.status == 200, (title, told)

    async def count_change_elsewhere(self) -> None:
        """Count a change of a project that nobody asks for."""
        await self._database.execute(f"{_COUNT} ('project', 1, 1) {_AGAIN}")

    async def upload(self, wheel: Wheel) -> float:
        """Publish a wheel."""
        assert self._registry.server.publication is not None
        took, told = await self._ask(request_of(self._registry.server.publication(wheel)))
        assert told.status == 201, (UPLOAD, told)
        return took

    async def delete(self, wheel: Wheel) -> float:
        """Delete the package of this wheel."""
        package_id = await self._database.fetchval(
            "SELECT id FROM packages WHERE normalized_name = $1 AND status = 'default'", wheel.name
        )
        took, told = await self._ask(
            request_head("DELETE", f"{self._registry.place}/{package_id}", self._registry.headers)
        )
        assert told.status == 204, (DELETE, told)
        return took

    async def watch(self) -> None:
        """Ask for the metrics."""
        url = f"{self._registry.place.partition('/api/')[0]}/-/metrics"
        _, told = await self._ask(request_head("GET", url, {"PRIVATE-TOKEN": TOKEN}))
        assert told.status == 200, told

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()
        await self._database.close()

    async def _ask(self, request: bytes) -> tuple[float, Told]:
        started_at = time.perf_counter()
        told = await self._connection.ask(request)
        return (time.perf_counter() - started_at) * 1000, told

    async def _count_changes(self) -> None:
        """Count a change of all that the answers are made of, as the transaction of a write does."""
        await self._database.execute(
            f"{_COUNT} ('project', $1, 1), ('namespace', $2, 1), ('instance', 0, 1) {_AGAIN}",
            self._registry.project_id,
            self._registry.namespace_id,
        )


async def measure(registries: Sequence[ScaledRegistry], directory: Path, *, rounds: int) -> Milliseconds:
    """Ask the registries in turn for everything, so many times."""
    asked = [await open_requests(registry) for registry in registries]
    found: dict[str, list[list[float]]] = defaultdict(lambda: [[] for _ in registries])
    for number in range(-1, rounds):
        wheel = small_wheel(directory, f"{_UPLOADED}-{number + 1:03}", "1.0")
        for title, work in _works(registries[0], wheel).items():
            for which, requests in _in_turn(asked, number):
                took = await work(requests)
                if number >= 0:  # The first time connections are opened, and statements prepared.
                    found[title][which].append(took)
    for requests in asked:
        await requests.close()
    return found


async def do_everything(registry: ScaledRegistry, directory: Path) -> None:
    """Have the registry send each of its statements, those of its worker's sweeps as well."""
    requests = await open_requests(registry)
    wheel = small_wheel(directory, "everything", "1.0")
    for work in _works(registry, wheel).values():
        await work(requests)
    await requests.watch()
    await asyncio.sleep(_SWEEPS_SECONDS)
    await requests.close()


async def open_requests(registry: ScaledRegistry) -> Requests:
    """Connect to a registry, and to its database."""
    return Requests(registry, await asyncpg.connect(registry.url))


def ratio(times: Sequence[Sequence[float]]) -> float:
    """Return how many times as long the last registry took as the first."""
    return statistics.median(times[-1]) / statistics.median(times[0])


def _works(registry: ScaledRegistry, wheel: Wheel) -> dict[str, Callable[[Requests], Awaitable[float]]]:
    """Return what is asked for, by its title, in this order."""
    works: dict[str, Callable[[Requests], Awaitable[float]]] = {
        title: partial(Requests.read, title=title) for title in registry.reads
    }
    return works | {UPLOAD: partial(Requests.upload, wheel=wheel), DELETE: partial(Requests.delete, wheel=wheel)}


def _in_turn(asked: Sequence[Requests], number: int) -> Iterable[tuple[int, Requests]]:
    """Return them with their numbers, in an order that changes from round to round."""
    numbered = list(enumerate(asked))
    return reversed(numbered) if number % 2 else numbered
