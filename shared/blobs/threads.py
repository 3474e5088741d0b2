"""Threads for calls that wait for a disk, and the domain's words for what a disk answers."""

import asyncio
import errno
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

from shared.errors import BlobStoreUnavailable, StorageFull

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# EFBIG is a limit of the file system or of the process (RLIMIT_FSIZE): no more bytes fit here either.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Threads:
    """Runs calls that block, and never leaves one behind: what a call uses may be closed as soon as it is over."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.executor = executor

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return what the call returns. A cancellation is raised only after the call has ended."""
        future = self.start(call, *args)
        await outlast(future)
        return future.result()

    def start(self, call: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Begin a call; the caller must `outlast` what this returns."""
        return asyncio.get_running_loop().run_in_executor(self.executor, call, *args)


async def outlast(future: asyncio.Future[Any]) -> None:
    """Wait until the future is done, even when cancelled meanwhile; the cancellation is raised after that."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return
    if not future.cancelled():
        future.exception()  # Nobody else will look at it.
    raise cancelled


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what the operating system says into the domain's errors."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(str(error.strerror)) from error
        raise BlobStoreUnavailable(str(error.strerror)) from error
