"""The part of the metadata port that moves all rows: what tells where they came from, and how they stand still.

A registry that is being moved must not take anything meanwhile: nobody would ever see it again.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.errors import OperatorError
from shared.ports.metadata_store import Writing


class RegistryInUse(OperatorError):
    """Somebody has the database open, and what he writes would be left behind.

    Args:
        who: what is known of him, for people.
    """

    def __init__(self, who: str) -> None:
        super().__init__(
            f"the registry is in use ({who}): stop all its processes first; `--ahead` copies files while it serves"
        )


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is written into rows that were moved, or whose files were.

    Args:
        blob_store_name: which they take for theirs from now on.
        came_from: which they took for theirs before.
        store_was: the name that their store bears until it gets the new one, as the last step of all.
        last_event: the id of the last audit event that came along.
    """

    blob_store_name: str
    came_from: str
    store_was: str
    last_event: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What rows say of themselves that tells which registry they are, and as of when.

    Args:
        blob_store_name: of the blob store that belongs to them; None: none was noted yet.
        arrival: of the last move; None: there was none.
        newest_event: the id of the last audit event; 0: there is none. Every change leaves one.
        is_untouched: nothing has changed since they arrived.
    """

    blob_store_name: str | None
    arrival: Arrival | None
    newest_event: int
    is_untouched: bool


class StillDatabase(Protocol):
    """A database that nobody else uses, and into which nobody can write."""

    async def mark(self) -> Mark:
        """Return what the rows say of themselves."""
        ...

    async def take_snapshot(self, path: Path) -> None:
        """Write all rows into a new SQLite file, durably.

        Args:
            path: absolute; nothing is there.

        Raises:
            MetadataUnavailable, StorageFull: it could not be done.
        """
        ...

    def arriving(self, arrival: Arrival) -> AbstractAsyncContextManager[Writing]:
        """Change these very rows, and note an arrival in them: their files were moved, and they stayed.

        All of it is committed together when the block ends.

        Raises:
            MetadataUnavailable, StorageFull: nobody can tell whether it was.
        """
        ...

    async def require_held(self) -> None:
        """Return when it has stood still all the time.

        Raises:
            RegistryInUse: somebody has come, who waits to write.
            MetadataUnavailable: the connection that held it is lost.
        """
        ...
