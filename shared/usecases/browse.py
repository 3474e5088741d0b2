"""What installers read: which names a project or group has, and which files a name has."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import NotFound
from shared.models import IndexedName, IndexedPage
from shared.names import NormalizedName
from shared.ports.metadata_store import MetadataStore
from shared.usecases.memo import Derived, Key
from shared.usecases.pull_memory import derived_from, key_of
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

    def key(self, visit: AnyVisit) -> Key:
        """Return under what the list may be remembered."""
        return ("index", key_of(source_of_pages(visit, now=self.now())))

    async def __call__(self, visit: AnyVisit) -> Derived[tuple[IndexedName, ...]]:
        """Return one line a name that has an installable package, sorted by normalized name."""
        now = self.now()
        source = source_of_pages(visit, now=now)
        async with self.store.reading() as rows:
            names = await rows.packages.index(source)
            return await derived_from(rows, visit, source, value=names, size_bytes=0, now=now)


@dataclass(frozen=True, slots=True)
class ListPackageFiles:
    """List what a simple page shows.

    Args:
        now: the clock, in UTC.
    """

    store: MetadataStore
    now: Callable[[], datetime] = _now

    def key(self, visit: AnyVisit, name: NormalizedName) -> Key:
        """Return under what the list may be remembered."""
        return ("page", key_of(source_of_pages(visit, now=self.now())), name)

    async def __call__(self, visit: AnyVisit, name: NormalizedName) -> Derived[IndexedPage]:
        """Return the installable files of the name, oldest package first; none when all are gone or not offered.

        Raises:
            NotFound: "Package": no installable package has this name.
        """
        now = self.now()
        source = source_of_pages(visit, now=now)
        async with self.store.reading() as rows:
            page = await rows.packages.page(source, name)
            if page is None:
                raise NotFound("Package")
            return await derived_from(rows, visit, source, value=page, size_bytes=0, now=now)
