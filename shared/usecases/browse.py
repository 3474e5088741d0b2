"""What installers read: which names a project has, and which files a name has."""

from dataclasses import dataclass

from shared.errors import NotFound
from shared.models import IndexedFile, IndexedName, ProjectId
from shared.names import NormalizedName
from shared.ports.metadata_store import MetadataStore


@dataclass(frozen=True, slots=True)
class ListPackageNames:
    """List what a project's simple index shows."""

    store: MetadataStore

    async def __call__(self, project_id: ProjectId) -> tuple[IndexedName, ...]:
        """Return one line a name that has an installable package, sorted by normalized name."""
        async with self.store.reading() as rows:
            return await rows.packages.index(project_id)


@dataclass(frozen=True, slots=True)
class ListPackageFiles:
    """List what a simple page shows."""

    store: MetadataStore

    async def __call__(self, project_id: ProjectId, name: NormalizedName) -> tuple[IndexedFile, ...]:
        """Return the installable files of the name, oldest package first; empty when all its files are gone.

        Raises:
            NotFound: "Package": no installable package has this name.
        """
        async with self.store.reading() as rows:
            files = await rows.packages.page(project_id, name)
        if files is None:
            raise NotFound("Package")
        return files
