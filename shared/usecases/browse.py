"""What installers read: which names a project or group has, and which files a name has."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import NotFound
from shared.models import IndexedName, IndexedPage
from shared.names import NormalizedName
from shared.ports.metadata_store import MetadataStore
from shared.usecases.pull_sources import source_of_pages
from shared.usecases.visits import AnyVisit


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ListPackageNames:
    """List what a simple index shows.

    Args:
        now: the clock, in UTC.
    """

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, visit: AnyVisit) -> tuple[IndexedName, ...]:
        """Return one line a name that has an installable package, sorted by normalized name."""
        async with self.store.reading() as rows:
            return await rows.packages.index(source_of_pages(visit, now=self.now()))


@dataclass(frozen=True, slots=True)
class ListPackageFiles:
    """List what a simple page shows.

    Args:
        now: the clock, in UTC.
    """

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, visit: AnyVisit, name: NormalizedName) -> IndexedPage:
        """Return the installable files of the name, oldest package first; none when all are gone or not offered.

        Raises:
            NotFound: "Package": no installable package has this name.
        """
        async with self.store.reading() as rows:
            page = await rows.packages.page(source_of_pages(visit, now=self.now()), name)
        if page is None:
            raise NotFound("Package")
        return page
