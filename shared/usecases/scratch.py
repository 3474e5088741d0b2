"""Copies of blobs in files of this machine, for those who need a file: they are gone as soon as nobody uses them."""

import asyncio
import fcntl
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from shared.errors import StorageFull

_PREFIX = "copy-"


class ScratchCopy:
    """A file that fills while its bytes go by."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file

    async def kept(self, chunks: AsyncGenerator[bytes, None], *, most_bytes: int) -> AsyncGenerator[bytes, None]:
        """Yield the chunks as they come. At the end the file holds them; of more than so many bytes it holds the first.

        Raises:
            StorageFull: there is no room for them on this machine.
        """
        room = most_bytes
        async with aclosing(chunks):
            async for chunk in chunks:
                await self._write(memoryview(chunk)[:room])
                room -= min(room, len(chunk))
                yield chunk

    async def _write(self, piece: memoryview) -> None:
        with _told_as_full():
            await asyncio.to_thread(self._write_all, piece)

    def _write_all(self, piece: memoryview) -> None:
        while piece:
            piece = piece[self._file.write(piece) :]


class Scratch:
    """A directory of copies. Each is locked by the process that uses it, so a copy without a lock is nobody's.

    Args:
        directory: made when it is needed; several processes may share it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[ScratchCopy]:
        """Make a copy that is removed when the block ends."""
        with _told_as_full():
            path, file = await asyncio.to_thread(self._make)
        try:
            yield ScratchCopy(path, file)
        finally:
            await asyncio.shield(asyncio.to_thread(_remove, path, file))

    async def clear(self) -> int:
        """Remove what killed processes left; return how many copies that were."""
        return await asyncio.to_thread(self._clear)

    def _make(self) -> tuple[Path, BinaryIO]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = self._directory / f"{_PREFIX}{secrets.token_hex(16)}"
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            file = os.fdopen(descriptor, "wb", buffering=0)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return path, file
            file.close()  # Somebody has cleared it away before it was locked.

    def _clear(self) -> int:
        removed = 0
        for path in self._directory.glob(f"{_PREFIX}*"):
            with suppress(FileNotFoundError), path.open("rb") as file, suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed += 1
        return removed


@contextmanager
def _told_as_full() -> Iterator[None]:
    """Tell what keeps this machine from having a copy as what it is to the upload: no fault of its own."""
    try:
        yield
    except OSError as error:
        raise StorageFull(f"no room to inspect an upload: {error.strerror}") from error


def _remove(path: Path, file: BinaryIO) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    file.close()
