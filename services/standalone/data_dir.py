"""The data directory: made private, and held by one `larder` at a time."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.standalone.errors import StartFailed
from shared.usecases.restore import UNFINISHED

_METRICS = "metrics"
"""As `shared.metrics` has it, without what that imports."""

_LOCK_NAME = "larder.lock"
_PATIENCE_SECONDS = 2.0
_POLL_SECONDS = 0.02


@contextmanager
def hold_data_dir(data_dir: Path) -> Iterator[int]:
    """Hold the data directory, and yield the file descriptor of its lock.

    A new directory is mode 0700; an existing one keeps its mode. The lock belongs to the open file: it lasts as long
    as any process that inherited the descriptor, so what a killed supervisor leaves behind is waited for.

    Raises:
        StartFailed: the directory cannot be used, or another `larder` holds it.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_fd = os.open(data_dir / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    try:
        _lock(lock_fd, data_dir)
        yield lock_fd
    finally:
        os.close(lock_fd)


def require_whole(data_dir: Path) -> None:
    """Return unless a restore has begun here and not come to its end.

    Raises:
        StartFailed: it has.
    """
    if (data_dir / UNFINISHED).exists():
        raise StartFailed(
            f"a restore into the data directory {data_dir} did not come to its end: run `larder restore` again"
        )


def clear_metrics(data_dir: Path) -> None:
    """Make the place where the processes leave their metrics for each other, or empty it: they count anew.

    Raises:
        StartFailed: the directory cannot be used.
    """
    try:
        directory = data_dir / _METRICS
        directory.mkdir(mode=0o700, exist_ok=True)
        for entry in directory.iterdir():
            entry.unlink()
    except OSError as error:
        raise _unusable(data_dir, error) from error


def _lock(lock_fd: int, data_dir: Path) -> None:
    # Waited for a little: when the last supervisor was killed, its children are just being killed with it.
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(lock_fd, 0)
            os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StartFailed(_held(lock_fd, data_dir)) from None
        except OSError as error:
            raise _unusable(data_dir, error) from error
        time.sleep(_POLL_SECONDS)


def _held(lock_fd: int, data_dir: Path) -> str:
    holder = os.pread(lock_fd, 32, 0).decode(errors="replace").strip() or "unknown"
    return (
        f"another larder (process {holder}) is using the data directory {data_dir}; "
        "stop it first, or name another directory in LARDER_DATA_DIR"
    )


def _unusable(data_dir: Path, error: OSError) -> StartFailed:
    return StartFailed(
        f"the data directory {data_dir} cannot be used: {error.strerror}; name another one in LARDER_DATA_DIR"
    )
