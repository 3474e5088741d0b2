"""What a PostgreSQL server is really asked, off its own log, and how it means to answer: whoever asks it."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

LOG_SETTINGS = {"log_line_prefix": "@%d:%p "}
"""What a server is started with whose log is read here."""
_MESSAGE = re.compile(r"@(?P<database>[^:]*):(?P<session>\d+) (?P<kind>[A-Z]+):  (?P<text>.*)", re.DOTALL)
_EXECUTED = re.compile(r"execute [^:]+: (?P<sql>.*)", re.DOTALL)
_VALUE = re.compile(r"\$\d+ = (NULL|'(?:[^']|'')*')")
_END = re.compile(r"statement: (?:COMMIT|ROLLBACK);?")
_PLAN_ANEW = "SET LOCAL plan_cache_mode = force_custom_plan"
_PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_MODES = ("force_custom_plan", "force_generic_plan")
_GROWING = ("package_files", "package_file_metadata", "packages", "package_names")
_FEW_ROWS = 100_000
"""So many are read at once; `larder` counts them to the end as well."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One that was carried out.

    Args:
        values: as literals of SQL.
        is_planned_anew: each time, for these values.
    """

    sql: str
    values: tuple[str, ...]
    is_planned_anew: bool


class StatementLog:
    """Gathers what is carried out in a database while somebody wants to know."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._message = ""
        self._found: dict[str, dict[str, Statement]] = {}
        self._last: str | None = None
        self._planned_anew: set[str] = set()

    def note(self, line: str) -> None:
        """Take a line of the log; those that belong to the one before begin with a tab."""
        with self._lock:
            if line.startswith("\t"):
                self._message += line[1:]
                return
            self._take()
            self._message = line

    def drain(self, database: str) -> list[Statement]:
        """Return each statement once that was carried out in the database since the last call."""
        with self._lock:
            self._take()
            self._message = ""
            return list(self._found.pop(database, {}).values())

    def _take(self) -> None:
        found = _MESSAGE.fullmatch(self._message.rstrip("\n"))
        if found is None:
            return
        database, session, text = found["database"], found["session"], found["text"]
        if found["kind"] == "DETAIL":
            if self._last is not None:
                self._found[database][self._last] = replace(
                    self._found[database][self._last], values=tuple(_VALUE.findall(text))
                )
            return
        self._last = None
        if _END.fullmatch(text):
            self._planned_anew.discard(session)
        executed = _EXECUTED.fullmatch(text)
        if executed is None:
            return
        sql = executed["sql"]
        if sql.startswith(_PLAN_ANEW):
            self._planned_anew.add(session)
        if sql.startswith(_PLANNED):
            self._last = sql
            self._found.setdefault(database, {})[sql] = Statement(sql, (), session in self._planned_anew)


@contextmanager
def logged(execute: Callable[[str], object]) -> Iterator[None]:
    """Have all sessions of a server log what they carry out while the block runs."""
    execute("ALTER SYSTEM SET log_statement = 'all'")
    execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        execute("ALTER SYSTEM RESET log_statement")
        execute("SELECT pg_reload_conf()")


async def large_tables(database: asyncpg.Connection) -> list[str]:
    """Return the tables that nothing may read from end to end."""
    rows = await database.fetch(
        "SELECT relname FROM pg_class WHERE relname = ANY($1) AND reltuples > $2", _GROWING, _FEW_ROWS
    )
    assert rows, "nobody has counted their rows"
    return [row["relname"] for row in rows]


async def whole_reads(database: asyncpg.Connection, tables: Sequence[str]) -> list[tuple[str, int]]:
    """Return those of the tables that were read from end to end since they were filled, and how often."""
    await database.execute("SELECT pg_stat_force_next_flush()")
    rows = await database.fetch(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE seq_scan > 0 AND relname = ANY($1)", tables
    )
    return [(row["relname"], row["seq_scan"]) for row in rows]


async def whole_read_plans(
    database: asyncpg.Connection, statements: Sequence[Statement], tables: Sequence[str]
) -> Mapping[str, Sequence[str]]:
    """Return the plans that read one of the tables from end to end, by statement.

    Each is planned for its values, as it is the first times, and for all values, as it may be after that.
    """
    found: dict[str, list[str]] = {}
    for statement in statements:
        for plan in await _plans(database, statement):
            nodes = [node for node in _nodes(plan) if node["Node Type"] == "Seq Scan"]
            if any(node["Relation Name"] in tables for node in nodes):
                found.setdefault(statement.sql, []).append(json.dumps(plan))
    return found


async def _plans(database: asyncpg.Connection, statement: Statement) -> list[dict[str, Any]]:
    await database.execute(f"PREPARE asked AS {statement.sql}")
    values = f"({', '.join(statement.values)})" if statement.values else ""
    plans = []
    for mode in _MODES[: 1 if statement.is_planned_anew else 2]:
        await database.execute(f"SET plan_cache_mode = {mode}")
        told = await database.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked{values}")
        plans.append(json.loads(told)[0]["Plan"])
    await database.execute("DEALLOCATE asked")
    return plans


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)
