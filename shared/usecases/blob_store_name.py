"""Tell whether the blob store is the one that belongs to the rows.

Without that, a disk that is not mounted looks like a store whose every blob is lost, and a new database over an old
store like a store full of orphans: one would be judged, the other swept away.
"""

import secrets
from contextlib import aclosing
from datetime import date

from shared.errors import OperatorError
from shared.models import PackageFileId, PackageFileStatus
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import MetadataStore
from shared.usecases.stored_bytes import look_at_size

_ROWS_AT_ONCE = 500


class BlobStoreForeign(OperatorError):
    """The blob store is not the one that belongs to the database: a disk is not mounted, or a URL names another.

    Args:
        found: the name that the store bears, or None.
        expected: the name that the database has noted, or None.
    """

    def __init__(self, *, found: str | None, expected: str | None) -> None:
        super().__init__(
            "the blob store is not the one of this database: mount its disk, or look at LARDER_BLOB_URL; "
            "`larder check` tells more"
        )
        self.found = found
        self.expected = expected


async def require_own_blob_store(store: MetadataStore, blobs: BlobStore) -> None:
    """Return when the store bears the name that the rows have noted; where they have noted none yet, name it.

    Raises:
        BlobStoreForeign: it is another store, or none; see `check_blob_store`.
        MetadataUnavailable, BlobStoreUnavailable, StorageFull: nobody can tell.
    """
    if await check_blob_store(store, blobs):
        return
    name = await blobs.name() or secrets.token_hex(16)
    # Inside the transaction, against its rule: whoever does the same at the same time must wait for the store's name,
    # and a crash in between must not leave rows that know a name which no store bears.
    async with store.writing() as rows:
        await blobs.give_name(await rows.inventory.name_blob_store(name))


async def check_blob_store(store: MetadataStore, blobs: BlobStore) -> bool:
    """Return whether the store bears the name that the rows have noted, or they may yet take it over.

    Rows that have noted none take over what they find, unless only one of the two knows of any files, or most of the
    published files are not in it: then a new database was put over an old store, or what stands where the store should
    be is another's, or a directory that took a few uploads while its disk was away.

    Returns:
        False when it is to be taken over.

    Raises:
        BlobStoreForeign: it is another store, or none.
        MetadataUnavailable, BlobStoreUnavailable: nobody can tell.
    """
    async with store.reading() as rows:
        noted = await rows.inventory.blob_store_name()
        knows_files = bool(await rows.inventory.files(after=PackageFileId(0), limit=1))
    found = await blobs.name()
    if noted is not None and noted == found:
        return True
    if noted is not None or knows_files != await holds_blobs(blobs) or not await _holds_most(store, blobs):
        raise BlobStoreForeign(found=found, expected=noted)
    return False


async def adopt_blob_store(store: MetadataStore, blobs: BlobStore) -> None:
    """Give the store the name that the rows have noted: for those who know that it is theirs."""
    name = await blobs.name() or secrets.token_hex(16)
    async with store.writing() as rows:
        await blobs.give_name(await rows.inventory.name_blob_store(name))


async def bears_another_name(store: MetadataStore, blobs: BlobStore) -> bool:
    """Return whether the rows have noted a name, and the store bears another or none."""
    noted = await noted_name(store)
    return noted is not None and noted != await blobs.name()


async def noted_name(store: MetadataStore) -> str | None:
    """Return the name that the rows have noted, if any."""
    async with store.reading() as rows:
        return await rows.inventory.blob_store_name()


async def holds_blobs(blobs: BlobStore) -> bool:
    """Return whether there is any blob.

    Raises:
        BlobStoreUnavailable: nobody can tell.
    """
    async with aclosing(blobs.keys(before=date.max)) as keys:
        async for _ in keys:
            return True
    return False


async def _holds_most(store: MetadataStore, blobs: BlobStore) -> bool:
    """Return whether no more published files are missing than are there: all are looked at, once in a store's life."""
    balance, after = 0, PackageFileId(0)
    while True:
        async with store.reading() as rows:
            files = await rows.inventory.files(after=after, limit=_ROWS_AT_ONCE)
        if not files:
            return balance >= 0
        for file in files:
            if file.status is PackageFileStatus.DEFAULT:
                balance += 1 if await look_at_size(blobs, file) is None else -1
        after = files[-1].id
