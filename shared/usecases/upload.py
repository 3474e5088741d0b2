"""Take an uploaded file: blob, then row, then job, then the worker's verdict.

The order is the transaction: a crash anywhere leaves at most a blob without a row, or a row that waits. The row is the
truth and the queue a hint, so nothing that was acknowledged depends on Redis.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from shared.attestations import check_attestations, encode_attestations
from shared.blob_keys import new_blob_key, started_at
from shared.errors import (
    BlobStoreUnavailable,
    DigestMissing,
    FileNameTaken,
    Forbidden,
    MetadataUnavailable,
    NotFound,
    QueueUnavailable,
    QuotaExceeded,
    StorageFull,
    UploadTooOld,
    ValidationFailed,
)
from shared.models import INSTALLABLE, BlobKey, PackageFile, PackageFileId, PackageFileStatus, UploadChecks
from shared.names import (
    base_name,
    canonical_version,
    check_package_name,
    check_version,
    normalize_name,
    parse_distribution_file_name,
    sanitize_file_name,
)
from shared.ports.blob_store import BlobReceipt, BlobStore, BlobWriter
from shared.ports.job_queue import DestroyPackageFileJob, JobQueue, ProcessPackageFileJob
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.ports.package_rows import NewPackage, NewPackageFile
from shared.principals import Anonymous, DeployToken, Job, Known, SignedIn, actor_of, user_of
from shared.usecases.name_status import hold_open_name, require_open_name
from shared.usecases.protection import require_unprotected_push
from shared.usecases.visits import Visit

_LOOK_AGAIN_SECONDS = 1.0
_KINDS = {SignedIn: "user", DeployToken: "deploy_token", Job: "job"}


def _never() -> bool:
    return False


class UploadOutcome(Enum):
    """What an uploader is told."""

    PUBLISHED = auto()
    """The file is on its pages, on every API process."""
    ACCEPTED = auto()
    """The file is safe; the worker has not finished with it yet."""


REQUIRES_PYTHON_CHARACTERS = 255
"""So many are kept of what a form says. Source: app/models/packages/pypi/metadatum.rb."""


@dataclass(frozen=True, slots=True)
class UploadForm:
    """The fields of an upload, already checked for presence and shape.

    Args:
        file_name: as the client sent it.
        requires_python: None when absent or blank.
        sha256_digest: what the client says the content's digest is, lower-case; None when it says nothing.
        fields: every text field as sent, but for the attestations: name -> values in order.
        attestations: a JSON array of attestation objects (PEP 740), unchecked; None when absent or blank.
    """

    name: str
    version: str
    file_name: str
    requires_python: str | None
    sha256_digest: str | None
    fields: dict[str, list[str]]
    attestations: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What is to get a row: bytes that are durable, and what was attested of them."""

    file_name: str
    key: BlobKey
    receipt: BlobReceipt
    attestations: bytes | None


@dataclass(frozen=True, slots=True)
class _Admitted:
    """The row that stands for an upload.

    Args:
        is_ours: this upload added the row; otherwise an equal one was there.
    """

    file: PackageFile
    is_ours: bool


@dataclass(frozen=True, slots=True)
class UploadPackageFile:
    """Publish one file into a project.

    Args:
        needs_sha256: the form must say what the content's SHA-256 is.
        upload_max_seconds: an upload that began longer ago gets no row.
        upload_wait: size in bytes -> seconds to wait for the verdict.
        quota_bytes: what the files of a project may hold together; None: no end.
        is_in_a_hurry: says whether the process is about to end, so that the wait shall end as well.
    """

    store: MetadataStore
    blobs: BlobStore
    queue: JobQueue
    checks: UploadChecks
    needs_sha256: bool
    upload_max_seconds: float
    upload_wait: Callable[[int], float]
    quota_bytes: int | None = None
    is_in_a_hurry: Callable[[], bool] = _never

    def open_blob(self) -> AbstractAsyncContextManager[BlobWriter]:
        """Open the writer that takes the file's bytes while they arrive."""
        return self.blobs.create(new_blob_key(datetime.now(UTC)))

    async def __call__(self, visit: Visit, form: UploadForm, blob: BlobWriter) -> UploadOutcome:
        """Make the file durable and known, hand it to the worker, and wait, bounded, for its verdict.

        Args:
            blob: holds all bytes of the file and is not committed yet.

        Returns:
            PUBLISHED also when the very same bytes are there under this name already. Then nothing changes, even when
            other attestations came with them this time: those are checked, and not kept.

        Raises:
            DigestMissing: the form says no SHA-256 and must; nothing remains.
            Forbidden: a protection rule keeps this uploader from the package, or the status of its name keeps all of
                them; nothing remains.
            ValidationFailed: a name, the version, a digest, an attestation or the archive itself breaks a rule;
                nothing remains. Attestations are checked even where other checks are off: see `shared.attestations`.
            FileNameTaken: the name holds other bytes; nothing remains.
            NotFound: "Package": it was deleted while it was being processed.
            QuotaExceeded: the project's files hold too much already; nothing remains.
            UploadTooOld: it took so long that it must be sent again.
            StorageFull, BlobStoreUnavailable, MetadataUnavailable: it was not taken.

        Idempotent: by project, package, version, file name and content.
        Source: lib/api/pypi_packages.rb; design, "Verdicts" and "Same file name again".
        """
        if self.needs_sha256 and form.sha256_digest is None:
            # Before what is said of the package: so GitLab orders it.
            raise DigestMissing
        async with self.store.reading() as rows:
            await require_unprotected_push(rows, visit, package_name=form.name)
            await require_open_name(rows, visit, name=normalize_name(form.name))
        file_name = self._check_names(form)
        receipt = await blob.commit()
        try:
            if form.sha256_digest is not None and form.sha256_digest != receipt.sha256:
                raise ValidationFailed("sha256_digest does not match the uploaded file")
            sent = check_attestations(form.attestations or "[]", file_name=file_name, sha256=receipt.sha256)
            new = _Content(file_name=file_name, key=blob.key, receipt=receipt, attestations=encode_attestations(sent))
            return await self._publish(visit, form, new)
        except (Forbidden, ValidationFailed, FileNameTaken, NotFound, QuotaExceeded, UploadTooOld, StorageFull):
            # Refused, so no row needs these bytes. After a lost connection nobody knows that: the orphan sweep decides.
            await self._discard_unless_known(blob.key)
            raise

    def _check_names(self, form: UploadForm) -> str:
        check_package_name(form.name)
        check_version(form.version)
        if self.checks is UploadChecks.OFF:
            return sanitize_file_name(form.file_name)
        # Not sanitized: that would turn the `!` of an epoch into something that is no distribution's name.
        file_name = base_name(form.file_name)
        named = parse_distribution_file_name(file_name)
        if named.name != normalize_name(form.name):
            raise ValidationFailed(f"File name {file_name} is not one of package {form.name}")
        if named.canonical_version != canonical_version(form.version):
            raise ValidationFailed(f"File name {file_name} is not one of version {form.version}")
        return file_name

    async def _publish(self, visit: Visit, form: UploadForm, new: _Content) -> UploadOutcome:
        while True:
            admitted = await self._admit(visit, form, new)
            if admitted.is_ours:
                return await self._conclude(admitted.file, await self._verdict(admitted.file, is_new=True))
            outcome = await self._join(admitted.file, form)
            if outcome is not None:
                await self._discard(new.key)
                return outcome

    async def _join(self, file: PackageFile, form: UploadForm) -> UploadOutcome | None:
        """Share the fate of an equal file that is published, or on its way; None when ours must be judged by itself."""
        verdict = file if file.status is PackageFileStatus.DEFAULT else await self._verdict(file)
        match verdict:
            case PackageFile(status=PackageFileStatus.DEFAULT):
                _check_declared(form, verdict)
                return UploadOutcome.PUBLISHED
            case PackageFile(status=PackageFileStatus.PROCESSING):
                async with self.store.writing() as rows:
                    is_promised = await rows.packages.note_promise(file.id)
                return UploadOutcome.ACCEPTED if is_promised else await self._join(file, form)
            case _:
                # Refused, perhaps for what its form said and not for its bytes, or deleted.
                return None

    async def _admit(self, visit: Visit, form: UploadForm, new: _Content) -> _Admitted:
        """Add the row, or find the equal one that is published or being processed."""
        uploader = visit.principal
        if isinstance(uploader, Anonymous):
            raise TypeError("an upload has an uploader")
        user = user_of(uploader)
        async with self.store.writing() as rows:
            if not await rows.protection_rules.hold(visit.project.id):
                raise NotFound  # It was deleted while the bytes arrived.
            await require_unprotected_push(rows, visit, package_name=form.name)  # By rules of meanwhile, too.
            package, _ = await rows.packages.find_or_add(
                NewPackage(
                    project_id=visit.project.id,
                    name=form.name,
                    normalized_name=normalize_name(form.name),
                    version=form.version,
                    canonical_version=canonical_version(form.version),
                    creator_id=user.id if user else None,
                )
            )
            # Not earlier: the first package of a name brings the row that is held.
            await hold_open_name(rows, visit, name=package.normalized_name)
            failed: list[PackageFileId] = []
            for other in await rows.packages.files_named(package.id, new.file_name):
                if other.status is PackageFileStatus.ERROR:
                    failed.append(other.id)
                elif other.sha256 != new.receipt.sha256:
                    raise FileNameTaken
                else:
                    return _Admitted(file=other, is_ours=False)
            for file_id in failed:
                await rows.packages.doom_file(file_id, source=frozenset({PackageFileStatus.ERROR}))
            if datetime.now(UTC) - started_at(new.key) > timedelta(seconds=self.upload_max_seconds):
                raise UploadTooOld
            file = await rows.packages.add_file(
                NewPackageFile(
                    package_id=package.id,
                    project_id=visit.project.id,
                    blob_key=new.key,
                    file_name=new.file_name,
                    size_bytes=new.receipt.size_bytes,
                    sha256=new.receipt.sha256,
                    requires_python=form.requires_python,
                    form=form.fields,
                    attestations=new.attestations,
                    uploader_kind=_KINDS[type(uploader)],
                    uploader_id=uploader.user.id if isinstance(uploader, SignedIn) else uploader.token_id,
                    token_id=uploader.token_id,
                ),
                quota_bytes=self.quota_bytes,
            )
            if isinstance(uploader, Job):
                # Whoever sends the same bytes again adds no row, so what they came from is told of the first one.
                await rows.packages.link_pipeline(package.id, file.id, uploader.pipeline_id)
            await self._audit(rows, uploader, file)
        with suppress(QueueUnavailable):
            for file_id in failed:
                await self.queue.enqueue(DestroyPackageFileJob(file_id))
        return _Admitted(file=file, is_ours=True)

    async def _verdict(self, file: PackageFile, *, is_new: bool = False) -> PackageFile | None:
        """Return the file as it is when the worker has spoken or the wait is over; None when its row is gone.

        Args:
            is_new: nobody knew of it until now, so there is nothing to be seen before somebody says so.
        """
        current: PackageFile | None = file
        looks = not is_new
        deadline = asyncio.get_running_loop().time() + self.upload_wait(file.size_bytes)
        async with self.queue.watch(file.id) as watch:
            try:
                await self.queue.enqueue(ProcessPackageFileJob(file.id, file.attempt))
            except QueueUnavailable:
                return file
            while True:
                if looks:
                    try:
                        async with self.store.reading() as rows:
                            current = await rows.packages.file(file.id)
                    except MetadataUnavailable:
                        return file  # The row is durable, whatever became of the connection.
                    if current is None or current.status is not PackageFileStatus.PROCESSING:
                        return current
                looks = True
                remaining = deadline - asyncio.get_running_loop().time()
                if remaining <= 0 or self.is_in_a_hurry():
                    return current
                await watch.wait(timeout_seconds=min(_LOOK_AGAIN_SECONDS, remaining))

    async def _conclude(self, file: PackageFile, verdict: PackageFile | None) -> UploadOutcome:
        """Tell the uploader of this very row what became of it."""
        match verdict:
            case PackageFile(status=PackageFileStatus.DEFAULT):
                return UploadOutcome.PUBLISHED
            case PackageFile(status=PackageFileStatus.PROCESSING):
                return UploadOutcome.ACCEPTED
            case PackageFile(status_message=str(reason)):
                # Refused; and doomed already where another file of its name has come meanwhile.
                await self._withdraw(file)
                raise ValidationFailed(reason)
            case _:
                raise NotFound("Package")

    async def _withdraw(self, refused: PackageFile) -> None:
        """Take back the rows of a file that the worker refused: its uploader hears of it, so nothing needs to stay."""
        async with self.store.writing() as rows:
            package = await rows.packages.lock(refused.package_id)
            await rows.packages.withdraw_file(refused.id)
            if package is not None and package.status not in INSTALLABLE:
                await rows.packages.remove_package_if_empty(package.id)

    async def _audit(self, rows: Writing, uploader: Known, file: PackageFile) -> None:
        await rows.audit(
            AuditEvent(
                action="package_file.uploaded",
                actor=actor_of(uploader),
                target=f"package_file:{file.id}",
                project_id=file.project_id,
                token_id=uploader.token_id,
                details={"file_name": file.file_name, "sha256": file.sha256, "size_bytes": file.size_bytes},
            )
        )

    async def _discard(self, key: BlobKey) -> None:
        with suppress(BlobStoreUnavailable):  # The orphan sweep will have it.
            await self.blobs.delete(key)

    async def _discard_unless_known(self, key: BlobKey) -> None:
        with suppress(MetadataUnavailable):
            async with self.store.reading() as rows:
                # A backup whose snapshot has the row is about to copy it; the orphan sweep will have it afterwards.
                is_held = await rows.holds.is_destruction_held(now=datetime.now(UTC))
                if is_held or await rows.packages.known_blobs([key]):
                    return
            await self._discard(key)


def _check_declared(form: UploadForm, published: PackageFile) -> None:
    """Hold the digests that came with a repeated upload against the file that is there.

    Raises:
        ValidationFailed: one of them is another file's.
    """
    for field, digest in (("md5_digest", published.md5), ("blake2_256_digest", published.blake2b_256)):
        declared = form.fields.get(field, [""])[0].strip().lower()
        if declared and digest is not None and declared != digest:
            raise ValidationFailed(f"{field} does not match the uploaded file")
