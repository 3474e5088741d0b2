"""The part of the metadata port that goes through all rows, for those who compare them with the bytes."""

from dataclasses import dataclass
from typing import Protocol

from shared.models import Package, PackageFile, PackageFileId, PackageId


@dataclass(frozen=True, slots=True)
class StoredCoreMetadata:
    """The METADATA of a file, and the digest that its simple page tells."""

    file_id: PackageFileId
    raw: bytes
    sha256: str


class InventoryReads(Protocol):
    """Go through rows by ascending id, some at a time."""

    async def files(self, *, after: PackageFileId, limit: int) -> tuple[PackageFile, ...]:
        """Return files of whatever status with a higher id."""
        ...

    async def files_by_blob(self, *, after: str, limit: int) -> tuple[PackageFile, ...]:
        """Return files of whatever status whose blob has a higher key, by ascending key.

        Args:
            after: a key, or "" for the first ones.
        """
        ...

    async def count_files(self) -> tuple[int, int]:
        """Return how many file rows there are, and how many bytes they name."""
        ...

    async def core_metadata(self, *, after: PackageFileId, limit: int) -> tuple[StoredCoreMetadata, ...]:
        """Return what is stored of files with a higher id, of those that have any."""
        ...

    async def empty_packages(self, *, after: PackageId, limit: int) -> tuple[Package, ...]:
        """Return packages of whatever status with a higher id that have no file row."""
        ...

    async def blob_store_name(self) -> str | None:
        """Return the name of the blob store that belongs to these rows, or None when none was noted yet."""
        ...


class InventoryWrites(InventoryReads, Protocol):
    """Mend what the rows themselves have wrong."""

    async def withdraw_core_metadata(self, file_id: PackageFileId) -> bool:
        """Forget the stored METADATA of a file, so that installers read it from the file; False when there is none.

        Its package is locked.
        """
        ...

    async def name_blob_store(self, name: str) -> str:
        """Note which blob store belongs to these rows, unless one is noted; return the one that is."""
        ...
