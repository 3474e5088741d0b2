"""The change counters: what a transaction touched is counted last, in sorted order, in the transaction itself."""

from collections.abc import Iterable

from sqlalchemy import select, tuple_

from shared.metadata.tables import change_counters
from shared.metadata.transaction import Transaction
from shared.models import CounterScope


async def bump_counters(transaction: Transaction) -> None:
    """Count one change for each touched scope.

    Last, because PostgreSQL holds the rows until the commit and every writer of a project meets here; sorted, so that
    two transactions never wait for each other.
    """
    for scope, scope_id in sorted(transaction.touched):
        insert = transaction.insert(change_counters).values(scope=scope, id=scope_id, value=1)
        await transaction.change(
            insert.on_conflict_do_update(index_elements=["scope", "id"], set_={"value": change_counters.c.value + 1})
        )


async def read_counters(
    transaction: Transaction, scopes: Iterable[tuple[CounterScope, int]]
) -> dict[tuple[CounterScope, int], int]:
    """Return the counter of each scope; 0 where nothing has changed yet."""
    wanted = dict.fromkeys(scopes, 0)
    if not wanted:
        return wanted
    key = tuple_(change_counters.c.scope, change_counters.c.id)
    statement = select(change_counters.c.scope, change_counters.c.id, change_counters.c.value)
    for row in await transaction.rows(statement.where(key.in_(list(wanted)))):
        wanted[row.scope, row.id] = row.value
    return wanted
