"""The part of the metadata port that is about packages and their files.

Rules that every implementation keeps (design: "Locks", "Leases", "A package with several files"):

- Whoever adds a file, changes a status or removes an empty package locks the package row first: `find_or_add`, `lock`.
- A status change names the status that it comes from; when the row has left it, nothing happens and the call says so.
- Nothing ever leaves `pending_destruction`.
- Ids never come back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.models import (
    BlobKey,
    CoreMetadata,
    Digests,
    IndexedName,
    IndexedPage,
    Package,
    PackageFile,
    PackageFileId,
    PackageFileStatus,
    PackageId,
    PackageStatus,
    PipelineId,
    ProjectId,
    UserId,
)
from shared.names import NormalizedName
from shared.ports.change_checks import Scope
from shared.ports.pull_sources import PullSource


@dataclass(frozen=True, slots=True)
class NewPackage:
    """What identifies a package, and who brought it."""

    project_id: ProjectId
    name: str
    normalized_name: NormalizedName
    version: str
    canonical_version: str
    creator_id: UserId | None


@dataclass(frozen=True, slots=True)
class NewPackageFile:
    """A file whose blob is durable and that waits for the worker.

    Args:
        form: the fields that were sent, without the file: name -> values in order; stored as JSON.
        uploader_kind: "user", "deploy_token" or "job".
        uploader_id: the id of that user, token or job token.
        token_id: the access token that was used.
        attestations: the JSON array of those that came with it, checked; None when none did.
    """

    package_id: PackageId
    project_id: ProjectId
    blob_key: BlobKey
    file_name: str
    size_bytes: int
    sha256: str
    requires_python: str | None
    form: dict[str, list[str]]
    uploader_kind: str
    uploader_id: int
    token_id: int | None
    attestations: bytes | None = None


class PackageReads(Protocol):
    """Look up packages and files."""

    async def package(self, package_id: PackageId) -> Package | None:
        """Return the package, whatever its status, or None."""
        ...

    async def file(self, file_id: PackageFileId) -> PackageFile | None:
        """Return the file, whatever its status, or None."""
        ...

    async def form(self, file_id: PackageFileId) -> dict[str, list[str]]:
        """Return the fields that were sent with the file; empty when it is gone."""
        ...

    async def index(self, source: PullSource) -> tuple[IndexedName, ...]:
        """Return one line per normalized name that has an installable package, sorted by normalized name.

        However many projects have the name, the spelling is that of its installable package with the lowest id, and
        `requires_python` that of the newest version's (PEP 440) file with the lowest id.
        """
        ...

    async def counters(self, source: PullSource, *, limit: int) -> dict[Scope, int]:
        """Return the counters of all projects that the source takes packages from, whether they have any or not.

        Args:
            limit: no more of them are returned, and none in particular.
        """
        ...

    async def page(self, source: PullSource, name: NormalizedName) -> IndexedPage | None:
        """Return the installable files of this name by ascending package id, then file id, and what is said of it.

        A file is yanked when it or its package is; its own reason counts before that of its package. None when the
        name has no installable package; without files when it has one whose files are all gone, or is quarantined.
        """
        ...

    async def installable_file(self, source: PullSource, *, sha256: str, file_name: str) -> PackageFile | None:
        """Return the `default` file of an installable package with exactly this name and digest, or None.

        None too when its package's name is quarantined. The one of the highest package id when several match.
        """
        ...

    async def core_metadata(self, file_id: PackageFileId) -> bytes | None:
        """Return the stored METADATA bytes of the file, or None when there are none."""
        ...

    async def attestations(self, file_id: PackageFileId) -> bytes | None:
        """Return the attestations that came with the file, byte for byte as they were added, or None without any."""
        ...

    async def known_blobs(self, keys: Sequence[BlobKey]) -> frozenset[BlobKey]:
        """Return those of the keys that some file row, of whatever status, names; at most 500 are asked for at once."""
        ...

    async def unleased(self, *, created_before: datetime, now: datetime, limit: int) -> tuple[PackageFile, ...]:
        """Return files in `processing` that no worker has taken yet and that wait since before then, oldest first.

        Those that wait since more than a minute after now are among them: some clock has jumped.
        """
        ...

    async def lapsed(self, *, now: datetime, lease_seconds: float, limit: int) -> tuple[PackageFile, ...]:
        """Return files in `processing` whose lease is over, oldest first.

        A lease that ends more than `lease_seconds` from now is over too: some clock has jumped.
        """
        ...

    async def doomed(self, *, doomed_before: datetime, now: datetime, limit: int) -> tuple[PackageFile, ...]:
        """Return files in `pending_destruction` that wait for a try since before then, who waits longest first.

        Those that wait since more than a minute after now are among them: some clock has jumped.
        """
        ...


class PackageWrites(PackageReads, Protocol):
    """Change packages and files."""

    async def find_or_add(self, new: NewPackage) -> tuple[Package, bool]:
        """Return the package of that identity that is not doomed, locked, adding it in `processing` if there is none.

        The name's row in `package_names` is added with the first package of a name. It is never removed once a file
        of that name was accepted (`accept_file` notes when that was first); see `remove_package_if_empty`.

        Returns:
            The package, and whether this call added it.
        """
        ...

    async def lock(self, package_id: PackageId) -> Package | None:
        """Lock the package row until the transaction ends and return it as it is now, or None when it is gone."""
        ...

    async def files_named(self, package_id: PackageId, file_name: str) -> tuple[PackageFile, ...]:
        """Return the package's files of this name that are not doomed, by ascending id."""
        ...

    async def add_file(self, new: NewPackageFile, *, quota_bytes: int | None = None) -> PackageFile:
        """Add a file in `processing`, attempt 1, without a lease. The package is locked, and its name if that is to be.

        Args:
            quota_bytes: how much the project's files may hold with it, but for those in `pending_destruction`. Of
                several that are added at the same time, none is counted too late.

        Raises:
            FileNameTaken: a `default` or `processing` file of this name exists.
            QuotaExceeded: they would hold more.
        """
        ...

    async def link_pipeline(self, package_id: PackageId, file_id: PackageFileId, pipeline_id: PipelineId) -> None:
        """Note that this file of the package, and so the package, came from the pipeline; the package is locked.

        A package has one link to a pipeline, however many of its files came from it. A file's link goes with the
        file; the package's link stays until the package goes, unless the file was never published and no other file
        of the package came from there.
        """
        ...

    async def take_lease(self, file_id: PackageFileId, *, attempt: int, until: datetime) -> PackageFile | None:
        """Take the file for this attempt: only from `processing`, at this very attempt, and with no lease on it.

        Returns:
            The file as leased, or None when it was not to be had. Bookkeeping: bumps no counter.
        """
        ...

    async def renew_lease(self, file_id: PackageFileId, *, attempt: int, until: datetime) -> bool:
        """Move the end of this attempt's lease; False when the file is no longer this attempt's."""
        ...

    async def release_lease(self, file_id: PackageFileId, *, attempt: int) -> bool:
        """Let go of this attempt's lease, so that the same attempt can begin anew; False when it is not held."""
        ...

    async def next_attempt(self, file_id: PackageFileId, *, attempt: int, leased_until: datetime) -> bool:
        """Take away this attempt's lease, provided that it still ends then, and make the file wait for the next one.

        Returns:
            False when the lease was renewed or the file moved on; then nothing changed.
        """
        ...

    async def note_promise(self, file_id: PackageFileId) -> bool:
        """Note that somebody who shares this file was told it is safe: only while it is in `processing`.

        From then on `withdraw_file` leaves it. Bookkeeping: bumps no counter.

        Returns:
            False when it is not in `processing` any more.
        """
        ...

    async def accept_file(
        self, file_id: PackageFileId, *, attempt: int, digests: Digests, metadata: CoreMetadata | None
    ) -> bool:
        """Move the file `processing -> default` as the holder of this attempt's lease; the package is locked.

        Stores the digests and, when given, the core metadata and its requires_python. The package goes
        `processing | error -> default`; any other status of it stays. Either way it counts as updated.

        Returns:
            False when the file is no longer this attempt's; then nothing changed.
        """
        ...

    async def refuse_file(self, file_id: PackageFileId, *, attempt: int, reason: str) -> bool:
        """Move the file `processing -> error`, with the reason, as the holder of this attempt; the package is locked.

        The package goes `processing -> error`, with the reason, when it has no file in `default` or `processing`.

        Returns:
            False when the file is no longer this attempt's; then nothing changed.
        """
        ...

    async def yank_package(
        self, package_id: PackageId, *, source: frozenset[PackageStatus], reason: str | None
    ) -> Package | None:
        """Mark the package as yanked, for this reason; it is locked. All its files are, also those that come later.

        One that is yanked already keeps the time since when. Either way it counts as updated.

        Returns:
            The package as it is now, or None when its status was not in `source`.
        """
        ...

    async def unyank_package(self, package_id: PackageId, *, source: frozenset[PackageStatus]) -> bool:
        """Take the package's mark away; it is locked. Files that are yanked by themselves stay so.

        Returns:
            False when it was not yanked, or its status was not in `source`; then nothing changed.
        """
        ...

    async def yank_file(self, file_id: PackageFileId, *, reason: str | None) -> PackageFile | None:
        """Mark the file as yanked, for this reason: only in `default`; its package is locked, and counts as updated.

        One that is yanked already keeps the time since when.

        Returns:
            The file as it is now, or None when its status is another.
        """
        ...

    async def unyank_file(self, file_id: PackageFileId) -> bool:
        """Take the file's own mark away: only in `default`; its package is locked, and counts as updated.

        Returns:
            False when it was not yanked by itself, or its status is another; then nothing changed.
        """
        ...

    async def doom_package(
        self, package_id: PackageId, *, source: frozenset[PackageStatus]
    ) -> tuple[PackageFileId, ...] | None:
        """Move the package and all its files to `pending_destruction`; the package is locked.

        Returns:
            The ids of its files that are now doomed, ascending; None when its status was not in `source`.
        """
        ...

    async def doom_file(self, file_id: PackageFileId, *, source: frozenset[PackageFileStatus]) -> bool:
        """Move the file to `pending_destruction`; its package is locked. False when its status was not in `source`."""
        ...

    async def change_status(
        self, package_id: PackageId, *, source: frozenset[PackageStatus], status: PackageStatus
    ) -> Package | None:
        """Move the package to the status; it is locked. Its files stay as they are.

        Returns:
            The package as it is now, or None when its status was not in `source`.
        """
        ...

    async def postpone_destruction(self, file_id: PackageFileId, *, reason: str) -> bool:
        """Note why a doomed file could not be removed, and let it wait behind the other doomed ones.

        Bookkeeping: bumps no counter.

        Returns:
            False when it is not in `pending_destruction`, or gone.
        """
        ...

    async def note_downloads(self, downloads: Mapping[PackageId, datetime], *, grain: timedelta) -> int:
        """Note when these packages were downloaded, unless a download less than `grain` before that is noted already.

        Bookkeeping: bumps no counter.

        Returns:
            Of how many packages a time was noted; those that are gone do not count.
        """
        ...

    async def remove_file(self, file_id: PackageFileId, *, source: PackageFileStatus) -> bool:
        """Remove the file's row and metadata; its package is locked. False when its status is another or it is gone."""
        ...

    async def withdraw_file(self, file_id: PackageFileId) -> bool:
        """Remove the row of a refused file: only from `error`, and only when nobody was promised it (`note_promise`).

        Its package is locked. False when it stays, or is gone.
        """
        ...

    async def remove_package_if_empty(self, package_id: PackageId) -> bool:
        """Remove the package's row if it has no file rows; it is locked. False when it has, or is gone.

        When no file of its name was ever accepted, no other package row has the name and nothing was said of it, the
        name's row goes with it: a refused upload leaves nothing.
        """
        ...

    async def remove_doomed_empty_packages(self, *, limit: int) -> int:
        """Remove packages in `pending_destruction` that have no file rows; return how many."""
        ...
