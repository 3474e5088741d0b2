"""The part of the metadata port that is about how much the files of a project hold.

The count of a project moves in the very transactions that add its files, doom them, or take them back; `PackageWrites`
sees to that. Files in `pending_destruction` do not count.
"""

from dataclasses import dataclass
from typing import Protocol

from shared.models import ProjectId


@dataclass(frozen=True, slots=True)
class Miscount:
    """A project whose count is not what its files hold.

    Args:
        counted_bytes: what the count says; 0 where there is none.
        held_bytes: what the files hold.
    """

    project_id: ProjectId
    counted_bytes: int
    held_bytes: int


class StorageReads(Protocol):
    """Look up counts."""

    async def used_bytes(self, project_id: ProjectId) -> int:
        """Return what the files of the project hold, as counted."""
        ...

    async def miscounts(self) -> tuple[Miscount, ...]:
        """Add up all files, and return the projects whose count says something else, by ascending id.

        It reads all files at once; it is for a check, not for a request.
        """
        ...


class StorageWrites(StorageReads, Protocol):
    """Mend counts."""

    async def recount(self, project_id: ProjectId) -> int:
        """Add up the project's files and set its count to that; return it.

        Whoever adds or dooms a file meanwhile waits, or comes first.
        """
        ...
