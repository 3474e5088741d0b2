"""What the disk store does to finished blobs, as blocking calls for threads. Nothing here follows a symbolic link."""

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import islice

from shared.blob_keys import check_blob_key
from shared.blobs.directories import DayDirectories
from shared.blobs.unfinished import PART_SUFFIX, GuardedFile
from shared.errors import BlobMissing
from shared.models import BlobKey

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
# Without O_NONBLOCK a named pipe in the place of a blob would keep a thread for ever.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LISTING_BATCH = 500
_TRIAL_NAME = ".check"
_TRIAL_BYTES = 4096


class Reading:
    """A blob that is being read; `end` works whatever became of `begin`."""

    def __init__(self, directories: DayDirectories, key: BlobKey) -> None:
        self._directories = directories
        self._key = key
        self._file: GuardedFile | None = None

    @property
    def file(self) -> GuardedFile:
        """Return the file that `begin` has opened."""
        assert self._file is not None
        return self._file

    def begin(self, offset: int) -> int:
        """Open the blob at an offset; return how many bytes follow, which is negative beyond the end.

        Raises:
            BlobMissing: there is no regular file under this key.
            OSError: as the system says.
        """
        day, _, name = self._key.rpartition("/")
        with _missing_as_domain_error(self._key), self._directories.opened(day) as directory:
            descriptor = os.open(name, _READ_FLAGS, dir_fd=directory)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise BlobMissing(self._key)
        self._file = GuardedFile(descriptor, "rb")
        self._file.seek(offset)
        return found.st_size - offset

    def end(self) -> None:
        """Close what is open."""
        if self._file is not None:
            self._file.close()


def size_of(directories: DayDirectories, key: BlobKey) -> int:
    """Return how many bytes a blob has.

    Raises:
        BlobMissing: there is no regular file under this key.
        OSError: as the system says.
    """
    day, _, name = key.rpartition("/")
    with _missing_as_domain_error(key), directories.opened(day) as directory:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise BlobMissing(key)
    return found.st_size


def remove(directories: DayDirectories, key: BlobKey) -> None:
    """Remove a blob durably; one that is gone may have been removed by a call that ended before its sync."""
    day, _, name = key.rpartition("/")
    with suppress(FileNotFoundError), directories.opened(day) as directory:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        os.fsync(directory)


def sweep_day(directories: DayDirectories, day: str) -> int:
    """Remove the part files of a day, and the day itself when it is empty; return how many files that were."""
    removed = 0
    with suppress(FileNotFoundError):
        with directories.opened(day) as directory:
            for key in _unfinished_in(directory, day):
                with suppress(FileNotFoundError):
                    os.unlink(key.rpartition("/")[2] + PART_SUFFIX, dir_fd=directory)
                    removed += 1
            if removed:
                os.fsync(directory)
        directories.remove_if_empty(day)
    return removed


def unfinished_of_day(directories: DayDirectories, day: str) -> list[BlobKey]:
    """Return the keys that the part files of a day are to get."""
    with suppress(FileNotFoundError), directories.opened(day) as directory:
        return _unfinished_in(directory, day)
    return []


def try_to_write(directories: DayDirectories) -> None:
    """Write and sync a file that nobody can see.

    Raises:
        OSError: as the system says.
    """
    # One fixed name: what a killed process leaves, the next check removes.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(_TRIAL_NAME, flags, 0o600, dir_fd=directories.root_fd)
    try:
        with suppress(FileNotFoundError):
            os.unlink(_TRIAL_NAME, dir_fd=directories.root_fd)
        os.write(descriptor, bytes(_TRIAL_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keys_of_day(directories: DayDirectories, day: str) -> Generator[list[BlobKey]]:
    """Yield the keys of a day, some at a time and in no order; other files are passed over."""
    with suppress(FileNotFoundError), directories.opened(day) as directory, os.scandir(directory) as entries:
        while batch := list(islice(entries, _LISTING_BATCH)):
            paths = (f"{day}/{entry.name}" for entry in batch if entry.is_file(follow_symlinks=False))
            yield [BlobKey(path) for path in paths if _is_key(path)]


def _unfinished_in(directory: int, day: str) -> list[BlobKey]:
    with os.scandir(directory) as entries:
        names = [entry.name.removesuffix(PART_SUFFIX) for entry in entries if entry.name.endswith(PART_SUFFIX)]
    return [BlobKey(f"{day}/{name}") for name in names if _is_key(f"{day}/{name}")]


@contextmanager
def _missing_as_domain_error(key: BlobKey) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise BlobMissing(key) from error
        raise


def _is_key(path: str) -> bool:
    try:
        check_blob_key(path)
    except ValueError:
        return False
    return True
