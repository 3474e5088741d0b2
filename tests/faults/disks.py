"""A small disk of a test's own: a tmpfs that can be filled, be given room again, and be made read-only."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.backends import backend_is_missing

_FILLER = "filler"
_STEPS_BYTES = (1024 * 1024, 64 * 1024, 4096)
_COMMAND_SECONDS = 30


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system on which nothing lies but what the test puts there."""

    path: Path

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take all room but this much, in whole pages."""
        with self._filler.open("ab") as filler:
            for step_bytes in _STEPS_BYTES:
                _append_until_full(filler.fileno(), step_bytes)
            os.truncate(filler.fileno(), os.fstat(filler.fileno()).st_size - leave_bytes)

    def make_room(self) -> None:
        """Give back what `fill` has taken."""
        self._filler.unlink()

    def grow(self, size_bytes: int) -> None:
        """Make the disk larger."""
        _mount("-o", f"remount,size={size_bytes}", str(self.path))

    def make_read_only(self) -> None:
        """Let nobody write any more; nobody may have a file open for writing at this moment."""
        _mount("-o", "remount,ro", str(self.path))

    def make_writable(self) -> None:
        """Take that back."""
        _mount("-o", "remount,rw", str(self.path))

    @property
    def _filler(self) -> Path:
        return self.path / _FILLER


@contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of this size at a path, which is made, until the block ends.

    Without the right to mount, the test is skipped, or fails where REQUIRE_BACKENDS=1 is set.
    """
    path.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "larder-test", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        backend_is_missing(f"no disk can be mounted here: run the tests as root ({error})")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(("umount", "--lazy", str(path)), check=True, timeout=_COMMAND_SECONDS)


def _mount(*arguments: str) -> None:
    subprocess.run(("mount", *arguments), check=True, capture_output=True, timeout=_COMMAND_SECONDS)


def _append_until_full(descriptor: int, step_bytes: int) -> None:
    while True:
        size_bytes = os.fstat(descriptor).st_size
        try:
            os.posix_fallocate(descriptor, size_bytes, step_bytes)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return
