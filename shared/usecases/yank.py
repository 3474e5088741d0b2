"""Yank packages and files, and take that back (PEP 592)."""

from dataclasses import dataclass

from shared.errors import NotFound, RecordNotFound
from shared.models import INSTALLABLE, Package, PackageFile, PackageFileId, PackageFileStatus, PackageId
from shared.ports.metadata_store import MetadataStore, Writing
from shared.ports.package_lists import ListedFile, ListedPackage
from shared.usecases.package_audit import visitor_event
from shared.usecases.package_lookup import DISPLAYABLE, lock_package
from shared.usecases.seen_pipelines import seen_pipelines
from shared.usecases.visits import Visit

_YANKABLE = DISPLAYABLE | INSTALLABLE
"""Statuses of packages that can be yanked: hidden ones too, because installers find them."""


@dataclass(frozen=True, slots=True)
class YankedFile:
    """A file that was yanked, as lists show it, and its package."""

    listed: ListedFile
    package: Package


@dataclass(frozen=True, slots=True)
class YankPackage:
    """Mark a package as yanked, and with it all its files, also those that come later."""

    store: MetadataStore

    async def __call__(self, visit: Visit, package_id: PackageId, *, reason: str | None) -> ListedPackage:
        """Return the package as it is now, and as lists show it.

        Args:
            reason: takes the place of any that was given before; None: there is none.

        Raises:
            RecordNotFound: the project has no such package, it is being processed, or it is doomed.

        Idempotent: by package and reason.
        """
        package = await self._yank(visit, package_id, reason)
        async with self.store.reading() as rows:
            pipeline = await rows.package_lists.latest_pipeline(package_id)
            seen = await seen_pipelines(rows, visit.principal, (pipeline,), read_here=(visit.project.id,))
        return seen.of_package(ListedPackage(package, visit.project, pipeline))

    async def _yank(self, visit: Visit, package_id: PackageId, reason: str | None) -> Package:
        async with self.store.writing() as rows:
            package = await lock_package(rows, visit.project.id, package_id, statuses=_YANKABLE)
            if package.yanked_at is not None and package.yanked_reason == reason:
                return package
            yanked = await rows.packages.yank_package(package_id, source=_YANKABLE, reason=reason)
            if yanked is None:
                raise RecordNotFound
            await _audit_package(rows, visit, "package.yanked", package, reason=reason)
        return yanked


@dataclass(frozen=True, slots=True)
class UnyankPackage:
    """Take a package's mark away; files that are yanked by themselves stay so."""

    store: MetadataStore

    async def __call__(self, visit: Visit, package_id: PackageId) -> None:
        """Take it away, if it is there.

        Raises:
            RecordNotFound: as `YankPackage`.

        Idempotent: by package.
        """
        async with self.store.writing() as rows:
            package = await lock_package(rows, visit.project.id, package_id, statuses=_YANKABLE)
            if await rows.packages.unyank_package(package_id, source=_YANKABLE):
                await _audit_package(rows, visit, "package.unyanked", package)


@dataclass(frozen=True, slots=True)
class YankPackageFile:
    """Mark one file as yanked."""

    store: MetadataStore

    async def __call__(
        self, visit: Visit, package_id: PackageId, *, file_id: PackageFileId, reason: str | None
    ) -> YankedFile:
        """Return the file as it is now, and as lists show it.

        Args:
            reason: takes the place of any that was given for this file before; None: there is none of its own.

        Raises:
            RecordNotFound: as `YankPackage`.
            NotFound: the package has no such file in `default`.

        Idempotent: by file and reason.
        """
        async with self.store.writing() as rows:
            package, file = await _lock_file(rows, visit, package_id, file_id)
            if file.yanked_at is None or file.yanked_reason != reason:
                file = await self._yank(rows, visit, file, reason)
        async with self.store.reading() as reader:
            listed = await reader.package_lists.listed_file(file)
            seen = await seen_pipelines(reader, visit.principal, listed.pipelines, read_here=(visit.project.id,))
        return YankedFile(seen.of_file(listed), package)

    async def _yank(self, rows: Writing, visit: Visit, file: PackageFile, reason: str | None) -> PackageFile:
        yanked = await rows.packages.yank_file(file.id, reason=reason)
        if yanked is None:
            raise NotFound
        await _audit_file(rows, visit, "package_file.yanked", file, reason=reason)
        return yanked


@dataclass(frozen=True, slots=True)
class UnyankPackageFile:
    """Take a file's own mark away; it stays yanked while its package is."""

    store: MetadataStore

    async def __call__(self, visit: Visit, package_id: PackageId, *, file_id: PackageFileId) -> None:
        """Take it away, if it is there.

        Raises:
            RecordNotFound, NotFound: as `YankPackageFile`.

        Idempotent: by file.
        """
        async with self.store.writing() as rows:
            _, file = await _lock_file(rows, visit, package_id, file_id)
            if await rows.packages.unyank_file(file_id):
                await _audit_file(rows, visit, "package_file.unyanked", file)


async def _lock_file(
    rows: Writing, visit: Visit, package_id: PackageId, file_id: PackageFileId
) -> tuple[Package, PackageFile]:
    package = await lock_package(rows, visit.project.id, package_id, statuses=_YANKABLE)
    file = await rows.packages.file(file_id)
    if file is None or file.package_id != package_id or file.status is not PackageFileStatus.DEFAULT:
        raise NotFound
    return package, file


async def _audit_package(rows: Writing, visit: Visit, action: str, package: Package, **told: str | None) -> None:
    details: dict[str, str | int | None] = {"name": package.name, "version": package.version, **told}
    await rows.audit(visitor_event(action, visit, target=f"package:{package.id}", details=details))


async def _audit_file(rows: Writing, visit: Visit, action: str, file: PackageFile, **told: str | None) -> None:
    details: dict[str, str | int | None] = {"file_name": file.file_name, "sha256": file.sha256, **told}
    await rows.audit(visitor_event(action, visit, target=f"package_file:{file.id}", details=details))
