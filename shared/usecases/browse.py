"""What installers read: which names a project has, and which files a name has."""

from dataclasses import dataclass

from shared.errors import NotFound
from shared.models import IndexedName, IndexedPage, ProjectId
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

    async def __call__(self, project_id: ProjectId, name: NormalizedName) -> IndexedPage:
        """Return the installable files of the name, oldest package first; none when all are gone or not offered.

        Raises:
            NotFound: "Package": no installable package has this name.
        """
        async with self.store.reading() as rows:
            page = await rows.packages.page(project_id, name)
        if page is None:
            raise NotFound("Package")
        return page
