"""The files of a registry that is being moved: where they go, how that is begun, and how it is taken up again.

A blob store that was begun bears a name whose first half tells from which registry it comes; so it is known again, and
nothing else is ever taken for it: when all is done it gets another.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import date

from shared.errors import BlobStoreUnavailable, OperatorError
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import MetadataStore
from shared.usecases.blob_copies import BlobCopies, Tell, Uncopied
from shared.usecases.blob_store_name import holds_blobs
from shared.usecases.orphans import batches, without_row
from shared.usecases.stored_bytes import look_at_bytes

_HALF = 16
"""Hexadecimal digits of a blob store's name that tell where it comes from; those behind them are random."""


class MoveRefused(OperatorError):
    """The registry cannot be moved there, or not as it is."""


@dataclass(frozen=True, slots=True)
class FilesTarget:
    """Where files go.

    Args:
        is_there: says whether there is such a place yet.
        open: opens it, and makes it when it is not there.
    """

    is_there: Callable[[], Awaitable[bool]]
    open: Callable[[], AbstractAsyncContextManager[BlobStore]]


@dataclass(frozen=True, slots=True)
class CopiedFiles:
    """What came of copying files.

    Args:
        store_name: that the blob store bears where they are now.
        files: that were copied now.
        size_bytes: of those.
        found_files: that an earlier attempt had copied.
        lost: those of which the source has not the bytes.
    """

    store_name: str
    files: int = 0
    size_bytes: int = 0
    found_files: int = 0
    lost: tuple[Uncopied, ...] = ()


async def copy_ahead(place: FilesTarget, rows: MetadataStore, source: BlobStore, *, tell: Tell) -> CopiedFiles:
    """Copy the files that rows name, where nothing is yet or an earlier attempt has begun.

    Args:
        rows: they have noted which blob store is theirs.

    Raises (some of them in groups):
        MoveRefused: there is something else.
        MetadataUnavailable, BlobStoreUnavailable, StorageFull: it could not be done.
    """
    async with place.open() as target:
        return await _copy(target, rows, source, tell)


async def copy_all(place: FilesTarget, rows: MetadataStore, source: BlobStore, *, tell: Tell) -> CopiedFiles:
    """Like `copy_ahead`; afterwards nothing is there but what these rows name, so nobody may change them meanwhile."""
    async with place.open() as target:
        copied = await _copy(target, rows, source, tell)
        await _remove_surplus(rows, target)
    return copied


def new_name() -> str:
    """Return a name for a blob store that no other bears."""
    return secrets.token_hex(_HALF)


def another_registry(what: str, option: str) -> MoveRefused:
    """Return how to say that something else is where the registry is to go."""
    return MoveRefused(f"the {what} of `{option}` holds something else: name an empty one; nothing was changed there")


async def require_lost(source: BlobStore, lost: tuple[Uncopied, ...]) -> None:
    """Return when the bytes of these files are damaged or gone at a second look, too.

    Raises:
        MoveRefused: they are not, or nobody can tell.
    """
    for one in lost:
        try:
            problem = await look_at_bytes(source, one.file)
        except BlobStoreUnavailable as error:
            problem = None
            told = f"cannot be read at the moment ({error})"
        else:
            told = "could not be read at first"
        if problem is None:
            raise MoveRefused(f"package_file:{one.file.id} {one.file.file_name} {told}: try again, or delete it")


async def _copy(target: BlobStore, rows: MetadataStore, source: BlobStore, tell: Tell) -> CopiedFiles:
    async with rows.reading() as reading:
        source_name = await reading.inventory.blob_store_name()
    assert source_name is not None
    name = await target.name()
    if name is None:
        if await holds_blobs(target):
            raise another_registry("blob store", "--to-blobs")
        name = _half_of(source_name) + new_name()[_HALF:]
        await target.give_name(name)
    elif not name.startswith(_half_of(source_name)):
        raise another_registry("blob store", "--to-blobs")
    else:
        # Pieces that were left would stand in the way of those that are to come.
        await target.sweep_unfinished(before=date.max)
    copies = BlobCopies(rows_of=rows, source=source, target=target, tell=tell)
    await copies.make()
    return CopiedFiles(name, copies.copied_files, copies.copied_bytes, copies.found_files, tuple(copies.uncopied))


def _half_of(source_name: str) -> str:
    return hashlib.sha256(source_name.encode()).hexdigest()[:_HALF]


async def _remove_surplus(rows: MetadataStore, target: BlobStore) -> None:
    """Remove what an earlier attempt has copied, and what has gone from the registry since."""
    async with aclosing(target.keys(before=date.max)) as keys:
        async for some in batches(keys):
            for key in await without_row(rows, some):
                await target.delete(key)
