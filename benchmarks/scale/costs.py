"""What each kind of request costs the processors, of Larder and of PostgreSQL, for those who reckon a size."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus import small_wheel
from benchmarks.processes import cpu_seconds, with_descendants
from benchmarks.scale.measure import UPLOAD, Requests, open_requests
from benchmarks.scale.registry import ScaledRegistry
from benchmarks.table import lines_of, number

REMEMBERED, LOOKED_AT = "page, remembered", "page, after a write elsewhere"
_PAGE = "page"
_CLIENTS = 32
_EACH = 200
_DERIVED = 100
_UPLOADS = 50


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of a processor for one request."""

    larder: float
    postgresql: float


async def costs(registry: ScaledRegistry, postgresql_pid: int, directory: Path) -> Mapping[str, Cost]:
    """Return what requests cost, by title."""
    meter = _Meter(registry, postgresql_pid)
    many = [await open_requests(registry) for _ in range(_CLIENTS)]
    await _read_at_once(many, times=5)
    meter.start()
    await _read_at_once(many, times=_EACH)
    told = {REMEMBERED: meter.cost(_CLIENTS * _EACH)}
    one, elsewhere = many[:2]
    meter.start()
    for _ in range(_DERIVED):
        await elsewhere.count_change_elsewhere()
        await one.ask_again(_PAGE)
    told[LOOKED_AT] = meter.cost(_DERIVED)
    for title in registry.reads:
        meter.start()
        for _ in range(_DERIVED):
            await one.read(title)
        told[title] = meter.cost(_DERIVED)
    wheels = [small_wheel(directory, f"cost-{count:03}", "1.0") for count in range(_UPLOADS)]
    meter.start()
    for wheel in wheels:
        await one.upload(wheel)
    told[UPLOAD] = meter.cost(_UPLOADS)
    for requests in many:
        await requests.close()
    return told


def render_costs(told: Mapping[str, Cost]) -> str:
    """Return them as a table."""
    rows = [[title, number(cost.larder), number(cost.postgresql)] for title, cost in told.items()]
    return lines_of(["ms of a processor, of the large one", "Larder", "PostgreSQL"], rows)


async def _read_at_once(many: list[Requests], *, times: int) -> None:
    async def read(requests: Requests) -> None:
        for _ in range(times):
            await requests.ask_again(_PAGE)

    async with asyncio.TaskGroup() as group:
        for requests in many:
            group.create_task(read(requests))


class _Meter:
    def __init__(self, registry: ScaledRegistry, postgresql_pid: int) -> None:
        self._roots = (registry.server.pids()[:1], [postgresql_pid])
        self._before: list[float] = []

    def start(self) -> None:
        self._before = self._used()

    def cost(self, requests: int) -> Cost:
        larder, postgresql = (
            (after - before) * 1000 / requests for after, before in zip(self._used(), self._before, strict=True)
        )
        return Cost(larder, postgresql)

    def _used(self) -> list[float]:
        return [cpu_seconds(with_descendants(roots)) for roots in self._roots]
