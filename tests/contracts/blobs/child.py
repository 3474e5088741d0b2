"""A process that uses a store and then dies, or runs out of something: `child.py <verb> <premises> <directory>`.

It tells its parent, a JSON object a line, what became of it.
"""

import asyncio
import json
import resource
import sys
from pathlib import Path

from shared.errors import LarderError
from shared.ports.blob_store import BlobStore, BlobWriter
from tests.contracts.blobs.backends import PREMISES, Premises
from tests.contracts.blobs.drive import MIB, keys_of, new_key, put, some_bytes

_CHUNK = some_bytes(256 * 1024)


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


async def write_and_wait(store: BlobStore, premises: Premises) -> None:
    """Wait in the middle of a blob: the parent kills us there."""
    async with store.create(new_key()) as writer:
        for _ in range(20):
            await writer.write(_CHUNK)
        tell(pieces=sorted(premises.pieces()))
        await asyncio.Event().wait()


async def commit_and_wait(store: BlobStore, premises: Premises) -> None:
    """Wait right after a commit: the parent kills us there."""
    async with store.create(key := new_key()) as writer:
        await writer.write(some_bytes(3 * MIB))
        await writer.commit()
        tell(key=key)
        await asyncio.Event().wait()


async def write_for_ever(store: BlobStore, premises: Premises) -> None:
    """Write one blob after the other until the parent kills us."""
    number = 0
    while True:
        content = some_bytes(MIB + number)
        async with store.create(key := new_key()) as writer:
            await writer.write(content)
            tell(begun=key)
            await writer.commit()
        tell(committed=key, size_bytes=len(content))
        number += 1


async def write_many(store: BlobStore, premises: Premises) -> None:
    """Make the same day's directories as other processes do at this moment."""
    sys.stdin.readline()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(10):
            tasks.create_task(put(store, new_key(), _CHUNK))
    tell(keys=await keys_of(store))


async def write_300_mib(store: BlobStore, premises: Premises) -> None:
    """Tell by how much writing, and then reading, 300 MiB made this process larger."""
    await put(store, new_key(), some_bytes(3 * MIB))
    before = _peak_rss_bytes()
    async with store.create(key := new_key()) as writer:
        for _ in range(300 * 4):
            await writer.write(_CHUNK)
        receipt = await writer.commit()
    written = _peak_rss_bytes()
    async for _ in store.read(key):
        pass
    tell(size_bytes=receipt.size_bytes, write_bytes=written - before, read_bytes=_peak_rss_bytes() - written)


async def write_too_much(store: BlobStore, premises: Premises) -> None:
    """Write 3 MiB where only one fits, and tell what is left; then write a little."""
    await _fail_to_write(store, premises, some_bytes(3 * MIB))


async def write_small_without_room(store: BlobStore, premises: Premises) -> None:
    """Write less than a buffer where there is no room for it: it is the commit that fails."""
    filler = premises.directory / "filler"
    filler.write_bytes(some_bytes(700 * 1024))
    await _fail_to_write(store, premises, some_bytes(500 * 1024))


async def write_under_limit(store: BlobStore, premises: Premises) -> None:
    """Write 3 MiB where the process may not write files larger than one."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
    await _fail_to_write(store, premises, some_bytes(3 * MIB))


async def check(store: BlobStore, premises: Premises) -> None:
    """Tell what the store says of itself when the disk is full."""
    filler = premises.directory / "filler"
    try:
        filler.write_bytes(some_bytes(2 * MIB))
    except OSError as error:
        tell(filler=error.errno)
    tell(error=await _error_of_check(store))


async def fail_to_sync(store: BlobStore, premises: Premises) -> None:
    """Commit where a sync fails, twice; then tell what is left."""
    async with store.create(key := new_key()) as writer:
        await writer.write(b"abc")
        errors = [await _error_of_commit(writer), await _error_of_commit(writer)]
    tell(errors=errors, pieces=sorted(premises.pieces()), descriptors=premises.open_descriptors(), key=key)


async def _fail_to_write(store: BlobStore, premises: Premises, content: bytes) -> None:
    error = "none"
    try:
        await put(store, new_key(), content)
    except LarderError as failure:
        error = type(failure).__name__
    tell(error=error, pieces=sorted(premises.pieces()), descriptors=premises.open_descriptors())
    await put(store, key := new_key(), b"abc")
    tell(key=key, keys=await keys_of(store))


async def _error_of_commit(writer: BlobWriter) -> str:
    try:
        await writer.commit()
    except LarderError as error:
        return f"{type(error).__name__} {error.__cause__!r}"
    return "none"


async def _error_of_check(store: BlobStore) -> str:
    try:
        await store.check()
    except LarderError as error:
        return type(error).__name__
    return "none"


def _peak_rss_bytes() -> int:
    """Return this process's own peak; getrusage would begin with the parent's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError("VmHWM")


VERBS = {
    verb.__name__: verb
    for verb in (
        check,
        commit_and_wait,
        fail_to_sync,
        write_300_mib,
        write_and_wait,
        write_for_ever,
        write_many,
        write_small_without_room,
        write_too_much,
        write_under_limit,
    )
}


async def main(verb: str, premises_name: str, directory: str) -> None:
    premises = PREMISES[premises_name](Path(directory))
    async with premises.open_store() as store:
        await VERBS[verb](store, premises)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
