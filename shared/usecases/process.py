"""Give the verdict on an uploaded file: the worker's part of an upload."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from shared.errors import BlobMissing, BlobStoreUnavailable, DistributionRejected, MetadataUnavailable, StorageFull
from shared.lines import truncated
from shared.models import CoreMetadata, Digests, Package, PackageFile, PackageFileId, PackageFileStatus, UploadChecks
from shared.names import canonical_version, normalize_name
from shared.ports.blob_store import BlobStore
from shared.ports.inspector import DistributionInspector
from shared.ports.job_queue import JobQueue
from shared.ports.metadata_store import AuditEvent, MetadataStore
from shared.usecases.blob_store_name import bears_another_name
from shared.usecases.digests import digest_stream
from shared.usecases.scratch import Scratch
from shared.usecases.upload import REQUIRES_PYTHON_CHARACTERS

log = structlog.get_logger()

LEASE_SECONDS = 15.0
"""How long a worker may be silent before its file is given to another."""
_RENEW_SECONDS = LEASE_SECONDS / 3


@dataclass(frozen=True, slots=True)
class _Accepted:
    digests: Digests
    metadata: CoreMetadata | None


@dataclass(frozen=True, slots=True)
class _Refused:
    reason: str


class _LeaseLostError(Exception):
    """Another attempt has the file now; whatever this one finds out no longer counts."""


@dataclass(frozen=True, slots=True)
class ProcessPackageFile:
    """Move a file from `processing` to `default`, or to `error` with a reason for people.

    Args:
        is_fips: no MD5 is computed, nor compared with one that a form brought.
        scratch: where a blob is copied to be inspected when its store is not on this machine.
    """

    store: MetadataStore
    blobs: BlobStore
    queue: JobQueue
    inspector: DistributionInspector
    checks: UploadChecks
    is_fips: bool
    scratch: Scratch

    async def __call__(self, file_id: PackageFileId, attempt: int) -> None:
        """Take the file's lease, look at its bytes, write the verdict, and tell those who wait.

        Ends quietly when the file is gone, doomed, judged, or in other hands.

        Raises (in groups):
            BlobMissing: its bytes are not there; perhaps a disk is not mounted, so a later attempt looks again.
            Whatever keeps it from a verdict. The lease then runs out, and the sweep begins the next attempt.

        Idempotent: by file and attempt; the lease decides between two workers.
        """
        file = await self._take_lease(file_id, attempt)
        if file is None:
            return
        try:
            verdict = await self._judge(file)
            is_written = verdict is not None and await self._write(file, verdict)
        except asyncio.CancelledError:
            # A worker that stops leaves the same attempt to another, which must find the file free.
            await asyncio.shield(self._release(file))
            raise
        if is_written:
            await self.queue.announce(file_id)

    async def _take_lease(self, file_id: PackageFileId, attempt: int) -> PackageFile | None:
        async def take() -> PackageFile | None:
            async with self.store.writing() as rows:
                return await rows.packages.take_lease(file_id, attempt=attempt, until=_lease_end())

        taking = asyncio.create_task(take())
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            # Whether it was taken is known only when its transaction has ended.
            taken = await taking
            if taken is not None:
                await self._release(taken)
            raise

    async def is_wanted(self, file_id: PackageFileId, attempt: int) -> bool:
        """Say whether the file still waits for this attempt; where it does not, a failure of it is of no interest."""
        async with self.store.reading() as rows:
            file = await rows.packages.file(file_id)
        return file is not None and (file.status, file.attempt) == (PackageFileStatus.PROCESSING, attempt)

    async def _judge(self, file: PackageFile) -> _Accepted | _Refused | None:
        """Return the verdict; None when the lease was lost before there was one."""
        verdict: _Accepted | _Refused | None = None
        try:
            async with asyncio.TaskGroup() as group:
                renewal = group.create_task(self._keep_lease(file))
                verdict = await self._examine_if_possible(file)
                renewal.cancel()
        except* _LeaseLostError:
            log.warning("package_file.lease_lost", file_id=file.id, attempt=file.attempt)
        return verdict

    async def _keep_lease(self, file: PackageFile) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            with suppress(MetadataUnavailable, StorageFull):  # There is time for another try before the lease ends.
                async with self.store.writing() as rows:
                    if not await rows.packages.renew_lease(file.id, attempt=file.attempt, until=_lease_end()):
                        raise _LeaseLostError

    async def _release(self, file: PackageFile) -> None:
        with suppress(MetadataUnavailable, StorageFull):  # Then the lease must run out.
            async with self.store.writing() as rows:
                await rows.packages.release_lease(file.id, attempt=file.attempt)

    async def _examine_if_possible(self, file: PackageFile) -> _Accepted | _Refused:
        """Examine the file; where the machine or the store as a whole stands in the way, no attempt is used up.

        A store may be away for longer than five attempts take, and that is no fault of the file.
        """
        try:
            return await self._examine(file)
        except StorageFull:
            await self._release(file)
            raise
        except (BlobStoreUnavailable, BlobMissing):
            if not await self._is_own_store_there():
                await self._release(file)
            raise

    async def _is_own_store_there(self) -> bool:
        try:
            await self.blobs.check()
            # An empty mount point answers, and has none of the files.
            return not await bears_another_name(self.store, self.blobs)
        except (BlobStoreUnavailable, StorageFull, MetadataUnavailable):
            return False

    async def _examine(self, file: PackageFile) -> _Accepted | _Refused:
        async with self.store.reading() as rows:
            package = await rows.packages.package(file.package_id)
            form = await rows.packages.form(file.id)
        if package is None:
            raise _LeaseLostError
        async with self._local(file) as (path, chunks):
            async with aclosing(chunks):
                digests, size_bytes = await digest_stream(chunks, is_fips=self.is_fips)
            return await self._compare(file, package, form, path=path, digests=digests, size_bytes=size_bytes)

    async def _compare(
        self,
        file: PackageFile,
        package: Package,
        form: Mapping[str, list[str]],
        *,
        path: Path,
        digests: Digests,
        size_bytes: int,
    ) -> _Accepted | _Refused:
        """Hold the bytes, which lie at the path, against what the upload said of them."""
        if (size_bytes, digests.sha256) != (file.size_bytes, file.sha256):
            return _Refused("the stored bytes are not those that were received")
        for field, digest in (
            ("md5_digest", digests.md5),
            ("sha256_digest", digests.sha256),
            ("blake2_256_digest", digests.blake2b_256),
        ):
            declared = form.get(field, [""])[0].strip().lower()
            if declared and digest is not None and declared != digest:
                return _Refused(f"{field} does not match the uploaded file")
        is_strict = self.checks is UploadChecks.STRICT
        try:
            metadata = await self.inspector.inspect(path, file_name=file.file_name)
        except DistributionRejected as rejection:
            return _Refused(rejection.reason) if is_strict else _Accepted(digests, None)
        if is_strict and metadata.flaw is not None:
            return _Refused(metadata.flaw)
        if normalize_name(metadata.name) != package.normalized_name:
            problem = f"the metadata in {file.file_name} names {metadata.name} and not {package.name}"
            return _Refused(problem) if is_strict else _Accepted(digests, None)
        if canonical_version(metadata.version) != package.canonical_version:
            problem = f"the metadata in {file.file_name} says version {metadata.version} and not {package.version}"
            return _Refused(problem) if is_strict else _Accepted(digests, None)
        declared = form.get("requires_python", [""])[0].strip()
        if is_strict and not _agrees(declared, metadata.requires_python):
            return _Refused(f"requires_python {declared!r} differs from {metadata.requires_python!r} in the metadata")
        if not is_strict and file.requires_python is not None:
            metadata = replace(metadata, requires_python=file.requires_python)
        return _Accepted(digests, metadata)

    async def _write(self, file: PackageFile, verdict: _Accepted | _Refused) -> bool:
        try:
            return await self._write_row(file, verdict)
        except (MetadataUnavailable, StorageFull):
            # No fault of the file, so it does not use up an attempt: a disk may be full for longer than five of them.
            await self._release(file)
            raise

    async def _write_row(self, file: PackageFile, verdict: _Accepted | _Refused) -> bool:
        async with self.store.writing() as rows:
            await rows.packages.lock(file.package_id)
            reason: str | None = None
            match verdict:
                case _Accepted(digests=digests, metadata=metadata):
                    action = "package_file.accepted"
                    is_written = await rows.packages.accept_file(
                        file.id, attempt=file.attempt, digests=digests, metadata=metadata
                    )
                case _Refused(reason=reason):
                    action = "package_file.refused"
                    is_written = await rows.packages.refuse_file(file.id, attempt=file.attempt, reason=reason)
            if is_written:
                await rows.audit(
                    AuditEvent(
                        action=action,
                        actor="worker",
                        target=f"package_file:{file.id}",
                        project_id=file.project_id,
                        details={"reason": reason} if reason else None,
                    )
                )
        log.info(action, file_id=file.id, attempt=file.attempt, is_written=is_written)
        return is_written

    @asynccontextmanager
    async def _local(self, file: PackageFile) -> AsyncIterator[tuple[Path, AsyncGenerator[bytes, None]]]:
        """Give a path, and the file's bytes; they lie at the path when the last of them was taken."""
        located = await self.blobs.locate(file.blob_key)
        chunks = self.blobs.read(file.blob_key)
        if located is not None:
            yield located.path, chunks
            return
        async with self.scratch.copy() as copy:
            yield copy.path, copy.kept(chunks, most_bytes=file.size_bytes)


def _lease_end() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS)


def _agrees(declared: str, found: str | None) -> bool:
    """Say whether the form's requires_python is that of the metadata; a form that says nothing agrees."""
    if declared in ("", found, truncated(found or "", REQUIRES_PYTHON_CHARACTERS)):
        return True
    try:
        return SpecifierSet(declared) == SpecifierSet(found or "")
    except InvalidSpecifier:
        return False
