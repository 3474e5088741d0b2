"""Hand out the bytes of a file, or what is served beside it: its core metadata, its provenance."""

import hashlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.attestations import encode_provenance
from shared.errors import LarderError, NotFound, RecordNotFound
from shared.models import PackageFile, PackageFileId, PackageFileStatus, PackageId, Project, Visibility
from shared.ports.blob_store import BlobStore, LocalBlob
from shared.ports.metadata_store import MetadataStore, Reading
from shared.status_markers import offers_files
from shared.usecases.package_lookup import find_package
from shared.usecases.pull_sources import source_of_files
from shared.usecases.visits import AnyVisit, GroupVisit, Visit


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Download:
    """A file that may be sent.

    Args:
        blob: where it is on this machine; None when it must be streamed with `OpenPackageFile.stream`.
        is_public: nobody would be refused it where it was asked for.
    """

    file: PackageFile
    blob: LocalBlob | None
    is_public: bool


@dataclass(frozen=True, slots=True)
class NeighbourDownload:
    """What stands beside a file and may be sent.

    Args:
        is_public: as of the file.
    """

    raw: bytes
    sha256: str
    is_public: bool


@dataclass(frozen=True, slots=True)
class OpenPackageFile:
    """Find a file that may be sent, as installers do or as the Packages API does.

    Args:
        now: the clock, in UTC.
    """

    store: MetadataStore
    blobs: BlobStore
    now: Callable[[], datetime] = _now

    async def __call__(self, visit: AnyVisit, *, sha256: str, file_name: str) -> Download:
        """Return the installable file of this digest and name; neither alone suffices.

        Raises:
            NotFound: "Package": the project has no such file, or it is not installable.
            RecordNotFound: the group has none that is installable and that the visitor may pull.
            BlobMissing: its row is there and its bytes are not.

        Source: GitLab's PackageFinder, PackageFileFinder.
        """
        source = source_of_files(visit, now=self.now())
        async with self.store.reading() as rows:
            file = await rows.packages.installable_file(source, sha256=sha256, file_name=file_name)
            if file is None:
                raise _no_file(visit)
            is_public = await _is_public(rows, visit, file)
        return Download(file=file, blob=await self.blobs.locate(file.blob_key), is_public=is_public)

    async def by_id(self, project: Project, package_id: PackageId, *, file_id: PackageFileId) -> Download:
        """Return the published file of a package that is shown.

        Raises:
            RecordNotFound: the project has no such package, or none that is shown.
            NotFound: the package has no such file in `default`, or its name is quarantined.
            BlobMissing: its row is there and its bytes are not.

        Source: lib/api/package_files.rb.
        """
        async with self.store.reading() as rows:
            package = await find_package(rows, project.id, package_id)
            file = await rows.packages.file(file_id)
            marker = await rows.package_names.marker(project.id, package.normalized_name)
        if marker is not None and not offers_files(marker):
            raise NotFound
        if file is None or file.package_id != package_id or file.status is not PackageFileStatus.DEFAULT:
            raise NotFound
        is_public = project.packages_visibility is Visibility.PUBLIC
        return Download(file=file, blob=await self.blobs.locate(file.blob_key), is_public=is_public)

    def stream(self, download: Download, *, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes of the file from `offset` on."""
        return self.blobs.read(download.file.blob_key, offset=offset, length=length)


@dataclass(frozen=True, slots=True)
class ReadCoreMetadata:
    """Find the METADATA that a file's `.metadata` neighbour serves (PEP 658).

    Args:
        now: the clock, in UTC.
    """

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, visit: AnyVisit, *, sha256: str, file_name: str) -> NeighbourDownload:
        """Return the metadata of the installable file, unmodified.

        Raises:
            NotFound, RecordNotFound: as of the file; or nothing is stored for it.
        """
        source = source_of_files(visit, now=self.now())
        async with self.store.reading() as rows:
            file = await rows.packages.installable_file(source, sha256=sha256, file_name=file_name)
            raw = await rows.packages.core_metadata(file.id) if file else None
            if file is None or raw is None:
                raise _no_file(visit)
            is_public = await _is_public(rows, visit, file)
        return _neighbour(raw, is_public=is_public)


@dataclass(frozen=True, slots=True)
class ReadProvenance:
    """Make the provenance object that a file's `.provenance` neighbour serves (PEP 740).

    Args:
        now: the clock, in UTC.
    """

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, visit: AnyVisit, *, sha256: str, file_name: str) -> NeighbourDownload:
        """Return the provenance object of the installable file, in JSON.

        Raises:
            NotFound, RecordNotFound: as of the file; or no attestations came with it.
        """
        source = source_of_files(visit, now=self.now())
        async with self.store.reading() as rows:
            file = await rows.packages.installable_file(source, sha256=sha256, file_name=file_name)
            attestations = await rows.packages.attestations(file.id) if file else None
            if file is None or attestations is None:
                raise _no_file(visit)
            is_public = await _is_public(rows, visit, file)
        return _neighbour(encode_provenance(attestations), is_public=is_public)


def _neighbour(raw: bytes, *, is_public: bool) -> NeighbourDownload:
    return NeighbourDownload(raw=raw, sha256=hashlib.sha256(raw).hexdigest(), is_public=is_public)


async def _is_public(rows: Reading, visit: AnyVisit, file: PackageFile) -> bool:
    """Say whether everybody could have asked for the file there: its own project counts, and the group too."""
    match visit:
        case Visit(project=project):
            return project.packages_visibility is Visibility.PUBLIC
        case GroupVisit(group=group):
            if group.visibility is not Visibility.PUBLIC:
                return False
            own = await rows.tenants.project(file.project_id)
            return own is not None and own.packages_visibility is Visibility.PUBLIC


def _no_file(visit: AnyVisit) -> LarderError:
    """Return what is raised where there is no file: GitLab words it otherwise for groups (contract, PyPI 2.3)."""
    match visit:
        case Visit():
            return NotFound("Package")
        case GroupVisit():
            return RecordNotFound()
