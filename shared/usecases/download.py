"""Hand out the bytes of a file, or of its core metadata."""

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from shared.errors import NotFound
from shared.models import PackageFile, PackageFileId, PackageFileStatus, PackageId, ProjectId
from shared.ports.blob_store import BlobStore, LocalBlob
from shared.ports.metadata_store import MetadataStore
from shared.status_markers import offers_files
from shared.usecases.package_lookup import find_package


@dataclass(frozen=True, slots=True)
class Download:
    """A file that may be sent.

    Args:
        blob: where it is on this machine; None when it must be streamed with `OpenPackageFile.stream`.
    """

    file: PackageFile
    blob: LocalBlob | None


@dataclass(frozen=True, slots=True)
class OpenPackageFile:
    """Find a file that may be sent, as installers do or as the Packages API does."""

    store: MetadataStore
    blobs: BlobStore

    async def __call__(self, project_id: ProjectId, *, sha256: str, file_name: str) -> Download:
        """Return the installable file of this digest and name; neither alone suffices.

        Raises:
            NotFound: "Package": there is no such file, or it is not installable.
            BlobMissing: its row is there and its bytes are not.

        Source: GitLab's PackageFinder, PackageFileFinder.
        """
        async with self.store.reading() as rows:
            file = await rows.packages.installable_file(project_id, sha256=sha256, file_name=file_name)
        if file is None:
            raise NotFound("Package")
        return Download(file=file, blob=await self.blobs.locate(file.blob_key))

    async def by_id(self, project_id: ProjectId, package_id: PackageId, *, file_id: PackageFileId) -> Download:
        """Return the published file of a package that is shown.

        Raises:
            RecordNotFound: the project has no such package, or none that is shown.
            NotFound: the package has no such file in `default`, or its name is quarantined.
            BlobMissing: its row is there and its bytes are not.

        Source: lib/api/package_files.rb.
        """
        async with self.store.reading() as rows:
            package = await find_package(rows, project_id, package_id)
            file = await rows.packages.file(file_id)
            marker = await rows.package_names.marker(project_id, package.normalized_name)
        if marker is not None and not offers_files(marker):
            raise NotFound
        if file is None or file.package_id != package_id or file.status is not PackageFileStatus.DEFAULT:
            raise NotFound
        return Download(file=file, blob=await self.blobs.locate(file.blob_key))

    def stream(self, download: Download, *, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes of the file from `offset` on."""
        return self.blobs.read(download.file.blob_key, offset=offset, length=length)


@dataclass(frozen=True, slots=True)
class ReadCoreMetadata:
    """Find the METADATA that a file's `.metadata` neighbour serves (PEP 658)."""

    store: MetadataStore

    async def __call__(self, project_id: ProjectId, *, sha256: str, file_name: str) -> tuple[bytes, str]:
        """Return the bytes, unmodified, and their SHA-256.

        Raises:
            NotFound: "Package": there is no such installable file, or nothing is stored for it.
        """
        async with self.store.reading() as rows:
            file = await rows.packages.installable_file(project_id, sha256=sha256, file_name=file_name)
            raw = await rows.packages.core_metadata(file.id) if file else None
        if raw is None:
            raise NotFound("Package")
        return raw, hashlib.sha256(raw).hexdigest()
