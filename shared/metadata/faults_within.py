"""What a database can tell of damage within itself."""

from sqlalchemy import text

from shared.errors import MetadataUnavailable
from shared.metadata.transaction import Transaction

# Primary result codes of SQLite. Source: https://www.sqlite.org/rescode.html
_CORRUPT, _NOT_A_DATABASE = 11, 26
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


def damage_told_by(error: MetadataUnavailable) -> str | None:
    """Return what SQLite says of a file that it cannot even check; None when it does not answer for other reasons."""
    driver_error = getattr(error.__cause__, "orig", None)
    code = getattr(driver_error, "sqlite_errorcode", None)
    return str(driver_error) if code is not None and code & 0xFF in (_CORRUPT, _NOT_A_DATABASE) else None
