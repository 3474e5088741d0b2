"""A registry of a thousand packages beside one of a million, on PostgreSQL: plans, and what requests cost."""

import asyncio
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.rounds import say
from benchmarks.scale.bulk import Size
from benchmarks.scale.costs import costs, render_costs
from benchmarks.scale.measure import Milliseconds, do_everything, measure, ratio
from benchmarks.scale.registry import UNBOUNDED, ScaledRegistry, start_scaled
from benchmarks.scale.statements import LOG_SETTINGS, StatementLog, large_tables, logged, whole_read_plans, whole_reads
from benchmarks.table import lines_of, number
from tests.backends import new_postgresql_server

MOST_TIMES = 1.5
"""So many times the cost in the small registry may the same cost in the large one."""
_SMALL = Size(wide=300, teams=2, packages_a_project=10)
_LARGE = Size(wide=199_500, teams=400, packages_a_project=200)
_MEDIUM = Size(wide=9_500, teams=40, packages_a_project=75)
_ROUNDS, _FEW_ROUNDS = 60, 40
_POSTGRESQL_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "512MB",
    "max_connections": "100",
    # For those who load it, so that the disk is not written to twice.
    "max_wal_size": "8GB",
    "maintenance_work_mem": "256MB",
    **LOG_SETTINGS,
}


@dataclass(frozen=True, slots=True)
class Scaled:
    """What was found.

    Args:
        complaints: what is not as it should be.
    """

    table: str
    complaints: tuple[str, ...]

    def __str__(self) -> str:
        return "\n\n".join([self.table, *self.complaints])


def scale(directory: Path, *, is_quick: bool) -> Scaled:
    """Fill both registries, ask them in turn, and look at the plans of all that the large one sends."""
    log = StatementLog()
    with ExitStack() as stack:
        postgresql = stack.enter_context(new_postgresql_server(_POSTGRESQL_SETTINGS, note=log.note))
        registries = []
        for size in (_SMALL, _MEDIUM if is_quick else _LARGE):
            say(f"a registry of {size.packages:,} packages in {size.projects + 1:,} projects")
            registries.append(start_scaled(stack, size, directory / str(size.packages), postgresql))
        say("rounds")
        found = asyncio.run(measure(registries, directory, rounds=_FEW_ROUNDS if is_quick else _ROUNDS))
        say("costs")
        told = asyncio.run(costs(registries[-1], postgresql.pid, directory))
        say("plans")
        with logged(postgresql.execute):
            asyncio.run(do_everything(registries[-1], directory))
        complaints = asyncio.run(_look_at_plans(registries[-1], log))
    slow = [f"{title}: {ratio(times):.2f} times" for title, times in found.items() if _is_missed(title, times)]
    return Scaled("\n\n".join([_render(found, registries), render_costs(told)]), (*complaints, *slow))


async def _look_at_plans(registry: ScaledRegistry, log: StatementLog) -> list[str]:
    database = await asyncpg.connect(registry.url)
    try:
        statements = log.drain(registry.database)
        tables = await large_tables(database)
        say(f"{len(statements)} statements; large are {', '.join(tables)}")
        complaints = [f"Read as a whole: {name}, {times} times" for name, times in await whole_reads(database, tables)]
        for sql, plans in (await whole_read_plans(database, statements, tables)).items():
            complaints.append("\n".join(["Reads a whole table:", sql, *plans]))
        return complaints
    finally:
        await database.close()


def _render(found: Milliseconds, registries: Sequence[ScaledRegistry]) -> str:
    heads = ["ms", *(registry.name for registry in registries), "times", f"at most {MOST_TIMES:g}"]
    rows = []
    for title, times in found.items():
        verdict = "-" if title in UNBOUNDED else "**missed**" if _is_missed(title, times) else "met"
        rows.append([title, *(number(statistics.median(one)) for one in times), number(ratio(times)), verdict])
    return lines_of(heads, rows)


def _is_missed(title: str, times: Sequence[Sequence[float]]) -> bool:
    return title not in UNBOUNDED and ratio(times) > MOST_TIMES
