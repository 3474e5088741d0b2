"""What answers cost in registries of different sizes, each asked one after another.

Three states are told apart: all is remembered; somebody has written elsewhere in the registry, so that what is
remembered has to be looked at; and what is asked for has itself changed, so that it is derived anew.
"""

import asyncio
import sqlite3
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing

from benchmarks.figures import Figure, Figures
from benchmarks.growth.registry import GrownRegistry
from benchmarks.reads import CONNECTIONS
from benchmarks.wire import Connection, request_head
from benchmarks.wrk import ask

STATES = ("remembered", "after a write elsewhere", "anew")
Milliseconds = dict[tuple[str, str], list[list[float]]]
"""By title and state: for each registry, of each request."""
_LEAST_TIMES = 3
_TARGET_ROUNDS = 3
_ELSEWHERE = (("project", 1),)
"""The first project, which nobody asks for."""


def measure_targets(registries: Sequence[GrownRegistry], *, seconds: float) -> Figures:
    """Return how many times the time of the smallest registry a page of the largest takes, all being remembered."""
    told: dict[str, Figure] = {}
    for key, title in (("package-growth", "project, page"), ("group-growth", "group, page")):
        rates: list[list[float]] = [[], []]
        for _ in range(_TARGET_ROUNDS):
            for number, registry in enumerate((registries[0], registries[-1])):
                ask(registry.reads[title], connections=CONNECTIONS, seconds=1)
                rates[number].append(ask(registry.reads[title], connections=CONNECTIONS, seconds=seconds).rate)
        small, large = map(statistics.median, rates)
        told[key] = Figure(small / large)
    return told


def measure_answers(registries: Sequence[GrownRegistry], *, seconds: float) -> Milliseconds:
    """Ask the registries in turn for everything in each state; so many seconds for each."""
    return asyncio.run(_ask_all(registries, seconds=seconds))


async def _ask_all(registries: Sequence[GrownRegistry], *, seconds: float) -> Milliseconds:
    found: Milliseconds = defaultdict(lambda: [[] for _ in registries])
    connections = [Connection(registry.server.index) for registry in registries]
    for title in registries[0].reads:
        for state in STATES:
            until = time.monotonic() + seconds
            while len(found[title, state][0]) < _LEAST_TIMES or time.monotonic() < until:
                for number, registry in enumerate(registries):
                    took = await _ask(registry, connections[number], title, state)
                    found[title, state][number].append(took * 1000)
    for connection in connections:
        await connection.close()
    return found


async def _ask(registry: GrownRegistry, connection: Connection, title: str, state: str) -> float:
    read = registry.reads[title]
    request = request_head("GET", read.url, read.headers)
    if state == "anew":
        _count(registry, (("project", registry.project_id), ("namespace", registry.group_id), ("instance", 0)))
    elif state == "after a write elsewhere":
        await connection.ask(request)
        _count(registry, _ELSEWHERE)
    else:
        await connection.ask(request)
    started_at = time.perf_counter()
    told = await connection.ask(request)
    took = time.perf_counter() - started_at
    assert told.status == 200, (title, told)
    return took


def _count(registry: GrownRegistry, scopes: Sequence[tuple[str, int]]) -> None:
    """Count a change of each, as the transaction of a write does."""
    with closing(sqlite3.connect(registry.database)) as rows, rows:
        rows.executemany(
            "INSERT INTO change_counters (scope, id, value) VALUES (?, ?, 1)"
            " ON CONFLICT (scope, id) DO UPDATE SET value = value + 1",
            scopes,
        )
