"""How much more a project may hold, asked before bytes are taken that there is no room for."""

from dataclasses import dataclass

from shared.errors import QuotaExceeded
from shared.models import Project
from shared.ports.metadata_store import MetadataStore


@dataclass(frozen=True, slots=True)
class StorageRoom:
    """What a project held at some moment, and what it may hold. The row of a file decides: see `add_file`."""

    used_bytes: int
    allowed_bytes: int

    def check(self, size_bytes: int) -> None:
        """Refuse a file of at least this size when there is no room for it.

        Raises:
            QuotaExceeded: there is none.
        """
        if self.used_bytes + size_bytes > self.allowed_bytes:
            raise QuotaExceeded(used_bytes=self.used_bytes, allowed_bytes=self.allowed_bytes)


@dataclass(frozen=True, slots=True)
class FindStorageRoom:
    """Look up how much room a project has.

    Args:
        quota_bytes: what the files of a project may hold together; None: no end.
    """

    store: MetadataStore
    quota_bytes: int | None

    async def __call__(self, project: Project) -> StorageRoom | None:
        """Return it; None when there is no end to it.

        Raises:
            QuotaExceeded: there is none left.
        """
        if self.quota_bytes is None:
            return None
        async with self.store.reading() as rows:
            room = StorageRoom(await rows.storage.used_bytes(project.id), self.quota_bytes)
        room.check(1)
        return room
