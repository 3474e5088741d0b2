"""Hand out the bytes of a file, or what is served beside it: its core metadata, its provenance."""

import hashlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from shared.attestations import encode_provenance
from shared.errors import LarderError, NotFound, RecordNotFound
from shared.models import PackageFile, PackageFileId, PackageFileStatus, PackageId, Project, Visibility
from shared.ports.blob_store import BlobStore, LinkHeaders, LocalBlob
from shared.ports.metadata_store import MetadataStore, Reading
from shared.status_markers import offers_files
from shared.usecases.memo import Derived, Memo
from shared.usecases.package_lookup import find_package
from shared.usecases.pull_memory import derived_from, key_of
from shared.usecases.pull_sources import source_of_files
from shared.usecases.visits import AnyVisit, GroupVisit, Visit

_SMALL_BYTES = 64 * 1024
"""Files up to this size are remembered with their bytes: to open one takes longer than to send it."""
_ROW_BYTES = 1024
_LINK_SECONDS = 60


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Download:
    """A file that may be sent.

    Args:
        blob: where it is on this machine; None when it must be streamed with `OpenPackageFile.stream`.
        raw: all of its bytes, where they are at hand; None otherwise.
        is_public: nobody would be refused it where it was asked for.
    """

    file: PackageFile
    blob: LocalBlob | None
    raw: bytes | None
    is_public: bool


@dataclass(frozen=True, slots=True)
class _FoundFile:
    """What of a download follows from the rows and from bytes that never change, whoever asks.

    Args:
        project_visibility: to whom the packages of its project are open; None where the visit tells that.
    """

    file: PackageFile
    blob: LocalBlob | None
    raw: bytes | None
    project_visibility: Visibility | None


@dataclass(frozen=True, slots=True)
class _FoundNeighbour:
    """What stands beside a file, whoever asks.

    Args:
        project_visibility: as of `_FoundFile`.
    """

    raw: bytes
    sha256: str
    project_visibility: Visibility | None

    @classmethod
    def of(cls, raw: bytes, visibility: Visibility | None) -> "_FoundNeighbour":
        return cls(raw, hashlib.sha256(raw).hexdigest(), visibility)

    def as_seen_by(self, visit: AnyVisit) -> "NeighbourDownload":
        return NeighbourDownload(raw=self.raw, sha256=self.sha256, is_public=_is_public(visit, self.project_visibility))


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
    memo: Memo
    now: Callable[[], datetime] = _now

    async def __call__(self, visit: AnyVisit, *, sha256: str, file_name: str) -> Download:
        """Return the installable file of this digest and name; neither alone suffices.

        Raises:
            NotFound: "Package": the project has no such file, or it is not installable.
            RecordNotFound: the group has none that is installable and that the visitor may pull.
            BlobMissing: its row is there and its bytes are not.

        Source: GitLab's PackageFinder, PackageFileFinder.
        """
        key = ("file", key_of(source_of_files(visit, now=self.now())), sha256, file_name)
        found = await self.memo(key, partial(self._find, visit, sha256, file_name))
        return Download(
            file=found.file, blob=found.blob, raw=found.raw, is_public=_is_public(visit, found.project_visibility)
        )

    async def _find(self, visit: AnyVisit, sha256: str, file_name: str) -> Derived[_FoundFile]:
        now = self.now()
        source = source_of_files(visit, now=now)
        async with self.store.reading() as rows:
            file = await rows.packages.installable_file(source, sha256=sha256, file_name=file_name)
            if file is None:
                raise _no_file(visit)
            visibility = await _visibility(rows, visit, file)
            derived = await derived_from(rows, visit, source, value=None, size_bytes=0, now=now)
        blob = await self.blobs.locate(file.blob_key)
        raw = await self._read(file) if self.memo.is_on and file.size_bytes <= _SMALL_BYTES else None
        size_bytes = _ROW_BYTES + (len(raw) if raw else 0)
        return derived.into(_FoundFile(file, blob, raw, visibility), size_bytes=size_bytes)

    async def _read(self, file: PackageFile) -> bytes | None:
        """Return all bytes of a small file; None when they are not those that were received."""
        raw = b"".join([chunk async for chunk in self.blobs.read(file.blob_key)])
        # Damage is not remembered: bytes that somebody puts back on the disk change no row.
        return raw if hashlib.sha256(raw).hexdigest() == file.sha256 else None

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
        blob = await self.blobs.locate(file.blob_key)
        return Download(file=file, blob=blob, raw=None, is_public=is_public)

    def stream(self, download: Download, *, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes of the file from `offset` on."""
        return self.blobs.read(download.file.blob_key, offset=offset, length=length)

    async def link(self, download: Download, headers: LinkHeaders) -> str | None:
        """Return a URL at the blob store itself, which holds for a minute; None where there is none.

        Whoever has the URL may fetch the file until it expires, so it is for the caller's eyes alone.

        Raises:
            BlobStoreUnavailable: the store has nothing to sign it with.
        """
        return await self.blobs.link(download.file.blob_key, headers, seconds=_LINK_SECONDS)


@dataclass(frozen=True, slots=True)
class ReadCoreMetadata:
    """Find the METADATA that a file's `.metadata` neighbour serves (PEP 658).

    Args:
        now: the clock, in UTC.
    """

    store: MetadataStore
    memo: Memo
    now: Callable[[], datetime] = _now

    async def __call__(self, visit: AnyVisit, *, sha256: str, file_name: str) -> NeighbourDownload:
        """Return the metadata of the installable file, unmodified.

        Raises:
            NotFound, RecordNotFound: as of the file; or nothing is stored for it.
        """
        key = ("core metadata", key_of(source_of_files(visit, now=self.now())), sha256, file_name)
        found = await self.memo(key, partial(self._find, visit, sha256, file_name))
        return found.as_seen_by(visit)

    async def _find(self, visit: AnyVisit, sha256: str, file_name: str) -> Derived[_FoundNeighbour]:
        now = self.now()
        source = source_of_files(visit, now=now)
        async with self.store.reading() as rows:
            file = await rows.packages.installable_file(source, sha256=sha256, file_name=file_name)
            raw = await rows.packages.core_metadata(file.id) if file else None
            if file is None or raw is None:
                raise _no_file(visit)
            found = _FoundNeighbour.of(raw, await _visibility(rows, visit, file))
            return await derived_from(rows, visit, source, value=found, size_bytes=len(raw), now=now)


@dataclass(frozen=True, slots=True)
class ReadProvenance:
    """Make the provenance object that a file's `.provenance` neighbour serves (PEP 740).

    Args:
        now: the clock, in UTC.
    """

    store: MetadataStore
    memo: Memo
    now: Callable[[], datetime] = _now

    async def __call__(self, visit: AnyVisit, *, sha256: str, file_name: str) -> NeighbourDownload:
        """Return the provenance object of the installable file, in JSON.

        Raises:
            NotFound, RecordNotFound: as of the file; or no attestations came with it.
        """
        key = ("provenance", key_of(source_of_files(visit, now=self.now())), sha256, file_name)
        found = await self.memo(key, partial(self._find, visit, sha256, file_name))
        return found.as_seen_by(visit)

    async def _find(self, visit: AnyVisit, sha256: str, file_name: str) -> Derived[_FoundNeighbour]:
        now = self.now()
        source = source_of_files(visit, now=now)
        async with self.store.reading() as rows:
            file = await rows.packages.installable_file(source, sha256=sha256, file_name=file_name)
            attestations = await rows.packages.attestations(file.id) if file else None
            if file is None or attestations is None:
                raise _no_file(visit)
            found = _FoundNeighbour.of(encode_provenance(attestations), await _visibility(rows, visit, file))
            return await derived_from(rows, visit, source, value=found, size_bytes=len(found.raw), now=now)


async def _visibility(rows: Reading, visit: AnyVisit, file: PackageFile) -> Visibility | None:
    """Return to whom the packages of the file's project are open; None where the visit itself tells that."""
    if isinstance(visit, Visit):
        return None
    own = await rows.tenants.project(file.project_id)
    return own.packages_visibility if own is not None else None


def _is_public(visit: AnyVisit, visibility: Visibility | None) -> bool:
    """Say whether everybody could have asked for the file there: its own project counts, and the group too."""
    match visit:
        case Visit(project=project):
            return project.packages_visibility is Visibility.PUBLIC
        case GroupVisit(group=group):
            return group.visibility is Visibility.PUBLIC and visibility is Visibility.PUBLIC


def _no_file(visit: AnyVisit) -> LarderError:
    """Return what is raised where there is no file: GitLab words it otherwise for groups (contract, PyPI 2.3)."""
    match visit:
        case Visit():
            return NotFound("Package")
        case GroupVisit():
            return RecordNotFound()
