"""Finds a change that readers could see and that nothing counts: what a process remembers would outlive it.

Whoever imports `every_change_is_counted` has all transactions of its tests watched. That something is counted is seen
here; that it is the right thing is for the tests of each change.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import Delete, Executable, Row, Update
from sqlalchemy.sql.dml import UpdateBase

from shared.metadata import store
from shared.metadata.change_counters import bump_counters
from shared.metadata.transaction import Transaction, Values

_TESTS = Path(__file__).parent
UNSEEN_TABLES = frozenset(
    {
        "audit_events",
        "build_links",
        "change_counters",
        "destruction_holds",
        "pipelines",
        "project_storage",
        "protection_rules",
    }
)
"""Of these nothing that is remembered is derived."""
BOOKKEEPING = {
    "access_tokens": {"last_used_at"},
    "package_files": {
        "attempt",
        "doomed_at",
        "leased_until",
        "promised_at",
        "scrub_held_until",
        "status_message",
        "verified_at",
    },
    "packages": {"last_downloaded_at"},
}
"""Columns of the others that may change beneath what is remembered."""


def seen_by_readers(statement: Executable) -> str | None:
    """Return what the statement changes of what readers may be told; None for nothing."""
    if not isinstance(statement, UpdateBase):
        return None
    table = str(statement.table.description)
    if table in UNSEEN_TABLES:
        return None
    if isinstance(statement, Delete):
        return f"rows of {table}"
    values = statement.compile().params
    if isinstance(statement, Update):
        columns = {column.name for column in statement.table.columns} & values.keys()
        return table if columns - BOOKKEEPING.get(table, set()) else None
    # What a blob store is called is nobody's business but the worker's.
    return None if values.get("name") == "blob_store_name" else table


def _is_test(caller: FrameType) -> bool:
    """Say whether a test itself writes, past the store."""
    return _TESTS in Path(caller.f_code.co_filename).parents


@contextmanager
def uncounted_writes() -> Iterator[list[list[str]]]:
    """Watch all transactions while the block runs; the list gets what each changed that counted nothing."""
    changed: dict[int, tuple[Transaction, list[str]]] = {}  # They are held, so that no other one gets their id.
    uncounted: list[list[str]] = []
    rows_of, row_of, change_of = Transaction.rows, Transaction.row, Transaction.change

    def note(transaction: Transaction, statement: Executable, changes: int, caller: FrameType) -> None:
        told = seen_by_readers(statement) if changes > 0 and not _is_test(caller) else None
        if told is not None:
            changed.setdefault(id(transaction), (transaction, []))[1].append(told)

    async def rows(transaction: Transaction, statement: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        found = await rows_of(transaction, statement, values)
        note(transaction, statement, len(found), sys._getframe(1))
        return found

    async def row(transaction: Transaction, statement: Executable, values: Values | None = None) -> Row[Any] | None:
        found = await row_of(transaction, statement, values)
        note(transaction, statement, 0 if found is None else 1, sys._getframe(1))
        return found

    async def change(transaction: Transaction, statement: Executable, values: Values | None = None) -> int:
        count = await change_of(transaction, statement, values)
        note(transaction, statement, count, sys._getframe(1))
        return count

    async def bump(transaction: Transaction) -> None:
        _, told = changed.pop(id(transaction), (transaction, []))
        if told and not transaction.touched:
            uncounted.append(told)
        await bump_counters(transaction)

    with pytest.MonkeyPatch.context() as patch:
        for name, noted in (("rows", rows), ("row", row), ("change", change)):
            patch.setattr(Transaction, name, noted)
        patch.setattr(store, "bump_counters", bump)
        yield uncounted


@pytest.fixture(autouse=True)
def every_change_is_counted() -> Iterator[None]:
    """Fail a test in which a transaction changed what readers may be told, and counted nothing."""
    with uncounted_writes() as uncounted:
        yield
    assert not uncounted, f"readers could see these changes, and nothing counts them: {uncounted}"
