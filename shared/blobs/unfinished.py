"""The file behind a blob that is being written. Everything here blocks, so it runs in threads, one call at a time."""

import errno
import os
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from shared.blobs.directories import DayDirectories
from shared.models import BlobKey

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PART_SUFFIX = ".part"
_MODE = 0o600
_DESCRIPTORS = Path("/proc/self/fd")
_NO_NAMELESS_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})


class GuardedFile(FileIO):
    """A file that no thread closes while another reads or writes it: the number could be another file's by then."""

    def __init__(self, descriptor: int, mode: str) -> None:
        self._guard = Lock()
        super().__init__(descriptor, mode)

    def read(self, size: int | None = -1, /) -> bytes:
        with self._guard:
            return super().read(-1 if size is None else size)

    def write(self, data: "ReadableBuffer", /) -> int:
        with self._guard:
            return super().write(data)

    def close(self) -> None:
        with self._guard:
            super().close()


class Unfinished(ABC):
    """A file that is filled and then either published under its key or discarded."""

    def __init__(self, key: BlobKey, directories: DayDirectories) -> None:
        self.file: GuardedFile | None = None
        self._directories = directories
        self._day, _, self._name = key.rpartition("/")
        self._is_linked = False

    def begin(self) -> None:
        """Open the file.

        Raises:
            OSError: as the system says.
        """
        with self._directories.made(self._day) as directory:
            self.file = GuardedFile(self._open(directory), "wb")

    def publish(self, rest: "ReadableBuffer") -> None:
        """Append the rest, make the file durable, show it under its key, and make that durable too.

        Raises:
            OSError: as the system says. The file must then be discarded: a sync that failed once tells nothing when
                it is repeated, because the kernel has forgotten which pages were lost.
        """
        if self.file is None:
            self.begin()
        assert self.file is not None  # `begin` has set it.
        view = memoryview(rest)
        while view:
            view = view[self.file.write(view) :]
        os.fsync(self.file.fileno())
        with self._directories.made(self._day) as directory:
            self._link(directory)
            self.file.close()
            self._directories.sync(self._day, directory)

    def discard(self) -> None:
        """Leave nothing of the file, published or not.

        Raises:
            OSError: as the system says; a name may be left.
        """
        if self.file is None:
            return
        with suppress(OSError):
            self.file.close()  # What it could not write is not wanted any more.
        with suppress(FileNotFoundError), self._directories.opened(self._day) as directory:
            self._unlink(directory)
            if self._is_linked:
                os.unlink(self._name, dir_fd=directory)
                os.fsync(directory)

    @abstractmethod
    def _open(self, directory: int) -> int: ...

    @abstractmethod
    def _link(self, directory: int) -> None: ...

    @abstractmethod
    def _unlink(self, directory: int) -> None: ...


class NamelessFile(Unfinished):
    """A file without a name until it is published: a killed process leaves nothing at all. Linux only."""

    def _open(self, directory: int) -> int:
        return os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, _MODE, dir_fd=directory)

    def _link(self, directory: int) -> None:
        assert self.file is not None  # `publish` has opened it.
        # Only with a directory descriptor does os.link call linkat, and only linkat can follow the link in /proc.
        source = _DESCRIPTORS / str(self.file.fileno())
        os.link(source, self._name, dst_dir_fd=directory, follow_symlinks=True)
        self._is_linked = True

    def _unlink(self, directory: int) -> None:
        pass  # There is no name but the published one.


class PartFile(Unfinished):
    """A file `<uuid>.part` that is renamed when it is published, for file systems without nameless files."""

    def _open(self, directory: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._name + PART_SUFFIX, flags, _MODE, dir_fd=directory)

    def _link(self, directory: int) -> None:
        part = self._name + PART_SUFFIX
        # Renaming would replace what is there; linking fails instead.
        os.link(part, self._name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        self._is_linked = True
        os.unlink(part, dir_fd=directory)

    def _unlink(self, directory: int) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._name + PART_SUFFIX, dir_fd=directory)


def best_unfinished(directories: DayDirectories) -> type[Unfinished]:
    """Return the kind of file to fill: nameless where the file system and the kernel can, else part files."""
    if sys.platform != "linux" or not _DESCRIPTORS.is_dir():
        return PartFile
    try:
        os.close(os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, _MODE, dir_fd=directories.root_fd))
    except OSError as error:
        # Any other error (full, read-only) is not for now: whoever writes will hear it.
        return PartFile if error.errno in _NO_NAMELESS_FILES else NamelessFile
    return NamelessFile
