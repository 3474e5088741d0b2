"""What a database can tell of damage within itself."""

from sqlalchemy import text

from shared.metadata.transaction import Transaction

_MOST_LINES = 20


async def faults_within(transaction: Transaction, *, is_thorough: bool) -> tuple[str, ...]:
    """Return a line for each fault that SQLite finds; PostgreSQL keeps foreign keys by itself and has no such check."""
    if transaction.connection.dialect.name != "sqlite":
        return ()
    check = "integrity_check" if is_thorough else "quick_check"
    found = await transaction.rows(text(f"PRAGMA {check}({_MOST_LINES})"))
    lines = [str(row[0]) for row in found if row[0] != "ok"]
    broken = await transaction.rows(text("PRAGMA foreign_key_check"))
    for table, row_id, target, *_ in map(tuple, broken[:_MOST_LINES]):
        lines.append(f"row {row_id} of {table} refers to a row of {target} that is not there")
    return tuple(lines)
