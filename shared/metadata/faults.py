"""The one place where faults of the drivers become errors of the domain."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.errors import LarderError, MetadataDamaged, MetadataUnavailable, StorageFull

# Primary result codes of SQLite. Source: https://www.sqlite.org/rescode.html
_SQLITE_IOERR = 10
_SQLITE_FULL = 13
_SQLITE_UNAVAILABLE = frozenset(
    {
        5,  # BUSY
        6,  # LOCKED
        8,  # READONLY
        9,  # INTERRUPT
        _SQLITE_IOERR,
        14,  # CANTOPEN
        15,  # PROTOCOL
    }
)
_SQLITE_DAMAGED = frozenset(
    {
        11,  # CORRUPT
        26,  # NOTADB
    }
)
_SQLITE_UNSYNCED = frozenset(
    {
        1034,  # IOERR_FSYNC
        1290,  # IOERR_DIR_FSYNC
    }
)
"""Extended codes: what was written before may be read again after a crash, so nobody can say that it is not there."""
_DISK_IS_FULL_BYTES = 64 * 1024

# Classes and codes of PostgreSQL. Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_SQLSTATE_DISK_FULL = "53100"
_SQLSTATE_UNAVAILABLE = (
    "08",  # connection exceptions
    "25006",  # a standby: read-only
    "25P03",  # idle in transaction for too long
    "28",  # invalid authorization
    "3D000",  # no such database
    "40",  # rolled back: deadlock, serialization
    "42501",  # insufficient privilege
    "53",  # insufficient resources
    "55P03",  # lock not available in time
    "57",  # operator intervention: shutdown, statement timeout
    "58",  # system errors
)


@contextmanager
def translated_faults(directory: Path | None = None) -> Iterator[None]:
    """Turn what a driver raises within the block into domain errors; let faults of our own code through.

    Args:
        directory: where the SQLite database lies that is being written; None otherwise.

    Raises:
        MetadataUnavailable: the database does not answer, or not in time.
        MetadataDamaged: it cannot be read.
        StorageFull: its disk takes no more.
    """
    try:
        yield
    except DBAPIError as fault:
        error = _domain_error(fault, directory)
        if error is None:
            raise
        raise error from fault
    except sqlite3.Error as fault:
        error = _sqlite_error(getattr(fault, "sqlite_errorcode", 0), fault, directory)
        if error is None:
            raise
        raise error from fault
    except (PoolTimeout, OSError) as fault:  # TimeoutError is an OSError.
        raise MetadataUnavailable(repr(fault)) from fault


def _domain_error(fault: DBAPIError, directory: Path | None) -> LarderError | None:
    sqlite_code = getattr(fault.orig, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return _sqlite_error(sqlite_code, fault.orig, directory)
    sqlstate = getattr(fault.orig, "sqlstate", None)
    if sqlstate == _SQLSTATE_DISK_FULL:
        return StorageFull(str(fault.orig))
    if fault.connection_invalidated or (sqlstate or "").startswith(_SQLSTATE_UNAVAILABLE):
        return MetadataUnavailable(str(fault.orig))
    return None


def _sqlite_error(extended_code: int, fault: BaseException | None, directory: Path | None) -> LarderError | None:
    if extended_code in _SQLITE_UNSYNCED:
        return MetadataUnavailable(str(fault))
    code = extended_code & 0xFF
    if code == _SQLITE_FULL:
        return StorageFull(str(fault))
    if code == _SQLITE_IOERR and directory is not None and _is_full(directory):
        # Only a failing write(2) is told as FULL; a shared-memory or journal file that cannot grow is an I/O error.
        return StorageFull(str(fault))
    if code in _SQLITE_DAMAGED:
        return MetadataDamaged(str(fault))
    return MetadataUnavailable(str(fault)) if code in _SQLITE_UNAVAILABLE else None


def _is_full(directory: Path) -> bool:
    try:
        return shutil.disk_usage(directory).free < _DISK_IS_FULL_BYTES
    except OSError:
        return False
