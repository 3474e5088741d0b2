"""Take a file whose bytes are damaged or gone from its readers, and say why."""

import structlog

from shared.models import PackageFile, PackageFileStatus
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing

log = structlog.get_logger()

_JUDGED = frozenset({PackageFileStatus.DEFAULT})


async def declare_damaged(
    store: MetadataStore,
    file: PackageFile,
    *,
    reason: str,
    actor: str = "worker",
    source: frozenset[PackageFileStatus] = _JUDGED,
) -> bool:
    """Move the file to `error`, in one transaction with its audit event; False when it has left `source` meanwhile.

    Its row and what is left of its bytes stay: whoever uploads a file of its name again puts that in its place.
    """
    async with store.writing() as rows:
        is_moved = await note_damage(rows, file, reason=reason, actor=actor, source=source)
    if is_moved:
        log.error("package_file.damaged", file_id=file.id, blob_key=file.blob_key, reason=reason)
    return is_moved


async def note_damage(
    rows: Writing, file: PackageFile, *, reason: str, actor: str, source: frozenset[PackageFileStatus]
) -> bool:
    """Do it in a transaction that does more than that. Args, returns: as of `declare_damaged`."""
    await rows.packages.lock(file.package_id)
    is_moved = await rows.scrub.damage_file(file.id, reason=reason, source=source)
    if is_moved:
        await rows.audit(
            AuditEvent(
                action="package_file.damaged",
                actor=actor,
                target=f"package_file:{file.id}",
                project_id=file.project_id,
                details={"file_name": file.file_name, "reason": reason},
            )
        )
    return is_moved
