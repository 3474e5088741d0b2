"""Find blobs without a row, and pieces of uploads that were never finished."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import date

from shared.blob_keys import started_at
from shared.errors import BlobMissing
from shared.models import BlobKey
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import MetadataStore
from shared.usecases.findings import CheckReport, Finding, FindingKind

_KEYS_AT_ONCE = 500


async def check_for_orphans(report: CheckReport, store: MetadataStore, blobs: BlobStore, *, before: date) -> None:
    """Add what is found to the report.

    Args:
        before: the first day whose blobs may still get a row; those from then on are only counted.
    """
    count = young = 0
    async with aclosing(blobs.keys(before=date.max)) as keys:
        async for batch in batches(keys):
            count += len(batch)
            for key in await without_row(store, batch):
                if started_at(key).date() >= before:
                    young += 1
                elif await _is_still_there(store, blobs, key):
                    report.findings.append(Finding(FindingKind.ORPHAN, key, "no file has these bytes", blob_key=key))
    report.checked["blobs"] = count
    if young:
        report.notes.append(f"{young} blobs have no row yet: uploads that are going on, or were cut off of late")
    pieces = 0
    async with aclosing(blobs.unfinished(before=date.max)) as unfinished:
        async for key in unfinished:
            if started_at(key).date() >= before:
                pieces += 1
            else:
                report.findings.append(Finding(FindingKind.PART, key, "a killed upload has left it", blob_key=key))
    if pieces:
        report.notes.append(f"{pieces} part files are young: uploads that are going on, or were cut off of late")


async def batches(keys: AsyncIterator[BlobKey]) -> AsyncIterator[list[BlobKey]]:
    """Yield the keys some at a time, as many as one query takes."""
    batch: list[BlobKey] = []
    async for key in keys:
        batch.append(key)
        if len(batch) == _KEYS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def without_row(store: MetadataStore, keys: list[BlobKey]) -> list[BlobKey]:
    """Return those of the keys that no row names."""
    async with store.reading() as rows:
        known = await rows.packages.known_blobs(keys)
    return [key for key in keys if key not in known]


async def _is_still_there(store: MetadataStore, blobs: BlobStore, key: BlobKey) -> bool:
    """Say whether a blob that had no row when it was listed is no file that was destroyed in between."""
    try:
        await blobs.locate(key)
    except BlobMissing:
        return False
    return bool(await without_row(store, [key]))
