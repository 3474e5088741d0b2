"""The change counters: what a transaction touched is counted last, in sorted order, in the transaction itself."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, func, or_, select, tuple_

from shared.metadata.pull_sources import projects_of
from shared.metadata.tables import change_counters
from shared.metadata.tenant_tables import projects
from shared.metadata.transaction import INSERTS, Transaction
from shared.models import CounterScope
from shared.ports.change_checks import Scope
from shared.ports.pull_sources import GroupPull

_BUMP = {
    engine: insert(change_counters).on_conflict_do_update(
        index_elements=["scope", "id"], set_={"value": change_counters.c.value + 1}
    )
    for engine, insert in INSERTS.items()
}

_COUNTERS = select(change_counters.c.scope, change_counters.c.id, change_counters.c.value)
_FEW = 8


async def bump_counters(transaction: Transaction) -> None:
    """Count one change for each touched scope.

    Last, because PostgreSQL holds the rows until the commit and every writer of a project meets here; sorted, so that
    two transactions never wait for each other.
    """
    for scope, scope_id in sorted(transaction.touched):
        await transaction.change(_BUMP[transaction.engine], {"scope": scope, "id": scope_id, "value": 1})


async def read_counters(transaction: Transaction, scopes: Iterable[Scope]) -> dict[Scope, int]:
    """Return the counter of each scope; 0 where nothing has changed yet."""
    wanted = dict.fromkeys(scopes, 0)
    if not wanted:
        return wanted
    if len(wanted) <= _FEW:
        values = {name: value for number, scope in enumerate(wanted) for name, value in _named(number, scope)}
        rows = await transaction.rows(_few(len(wanted)), values)
    else:
        key = tuple_(change_counters.c.scope, change_counters.c.id)
        rows = await transaction.rows(_COUNTERS.where(key.in_(list(wanted))))
    for row in rows:
        wanted[row.scope, row.id] = row.value
    return wanted


@cache
def _few(number: int) -> Select[Any]:
    """Return the statement for so many counters, which is made once."""
    is_one_of = (
        and_(change_counters.c.scope == bindparam(f"scope_{one}"), change_counters.c.id == bindparam(f"id_{one}"))
        for one in range(number)
    )
    return _COUNTERS.where(or_(*is_one_of))


def _named(number: int, scope: Scope) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return (f"scope_{number}", scope[0]), (f"id_{number}", scope[1])


def counters_statement(source: GroupPull) -> Select[Any]:
    """Return the counter of each project that the source takes packages from; 0 where nothing has changed yet."""
    is_its_own = and_(change_counters.c.scope == CounterScope.PROJECT, change_counters.c.id == projects.c.id)
    return (
        select(projects.c.id, func.coalesce(change_counters.c.value, 0).label("value"))
        .outerjoin(change_counters, is_its_own)
        .where(projects.c.id.in_(projects_of(source)))
    )
