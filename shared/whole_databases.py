"""What is done with a database as a whole: it is migrated, and copied to and from another place.

The second half of the composition root, and apart from it because processes that serve need none of it: the migrations
alone would cost each of them a fifth of its start, and 7 MB.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from shared.errors import SettingsInvalid
from shared.metadata import migrate as migrations
from shared.metadata import moves, snapshots
from shared.metadata.engine import shown_url, sqlite_path
from shared.metadata.schema import REVISION
from shared.ports.moved_rows import Arrival, Mark, StillDatabase
from shared.settings import Settings


async def migrate_database(settings: Settings) -> tuple[str | None, str]:
    """Bring the database to the schema of this version; return the revision before and after.

    Raises:
        SchemaUnknown: the database holds a schema that this version does not know.
        MetadataUnavailable: the database does not answer.
    """
    return await migrations.migrate(settings.database_url)


async def take_snapshot(settings: Settings, path: Path) -> None:
    """Write all rows, as of one instant, into a new SQLite file; see `shared.metadata.snapshots`."""
    await snapshots.take_snapshot(settings.database_url, path)


async def settle_snapshot(path: Path) -> None:
    """Bring a copied snapshot up to this version, and end in it what only its own time had."""
    await snapshots.settle_snapshot(path)


async def load_snapshot(settings: Settings, path: Path) -> None:
    """Put a settled snapshot in the place of the database, which is not there yet, or empty."""
    await snapshots.load_snapshot(path, settings.database_url)


async def look_at_rows(settings: Settings) -> Mark | None:
    """Return what the rows say of themselves, or None where there are none; see `shared.metadata.moves`."""
    return await moves.look_at_rows(settings.database_url)


def hold_still(settings: Settings) -> AbstractAsyncContextManager[StillDatabase]:
    """Have the database for oneself; see `shared.metadata.moves`."""
    return moves.hold_still(settings.database_url)


async def arrive_in_snapshot(path: Path, arrival: Arrival) -> None:
    """Note in the rows of a snapshot where they have come to."""
    await moves.arrive_in_file(path, arrival)


def is_same_database(one: Settings, other: Settings) -> bool:
    """Say whether both name one database in the same words."""
    return (sqlite_path(one.database_url) or one.database_url) == (
        sqlite_path(other.database_url) or other.database_url
    )


def shown_database_url(settings: Settings) -> str:
    """Return where the database is, as it may be printed.

    Raises:
        SettingsInvalid: the URL names none.
    """
    try:
        return shown_url(settings.database_url)
    except ValueError as error:
        raise SettingsInvalid(f"LARDER_DATABASE_URL is none: {error}") from None


async def require_empty_database(settings: Settings) -> None:
    """Return when a snapshot can be put in the place of the database."""
    await snapshots.require_empty(settings.database_url)


def schema_revision() -> str:
    """Return the revision of the schema of this version."""
    return REVISION
