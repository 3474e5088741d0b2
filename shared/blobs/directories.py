"""The directories `YYYY/MM/DD` under the root of a disk store. Everything here blocks, and follows no symbolic link."""

import errno
import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

_OPEN_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o700
_YEAR = re.compile(r"[0-9]{4}")
_MONTH_OR_DAY = re.compile(r"[0-9]{2}")
_DAYS_REMEMBERED = 16
# A writer may have just made the directory of an old day: after its clock was set back, or at the end of a slow upload.
_UNTOUCHED_SECONDS = 24 * 60 * 60
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class DayDirectories:
    """Opens, makes, syncs, lists and removes the directories of days.

    Args:
        root: the directory above them; it may be reached through symbolic links.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._root_fd: int | None = None
        self._durable: dict[str, tuple[int, int]] = {}

    def open(self) -> None:
        """Open the root, and make it durably when it is not there.

        Raises:
            OSError: as the system says.
        """
        above = itertools.takewhile(lambda path: not path.exists(), (self._root, *self._root.parents))
        for missing in reversed(list(above)):
            missing.mkdir(mode=_MODE, exist_ok=True)
            _sync_path(missing.parent)
        self._root_fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the root."""
        if self._root_fd is not None:
            os.close(self._root_fd)
        self._root_fd = None

    @property
    def root_fd(self) -> int:
        """Return the descriptor of the open root."""
        assert self._root_fd is not None
        return self._root_fd

    @contextmanager
    def opened_root(self) -> Iterator[int]:
        """Open the root once more: two who list one descriptor share its position, and each misses entries."""
        descriptor = os.open(".", _OPEN_FLAGS, dir_fd=self.root_fd)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def opened(self, day: str) -> Iterator[int]:
        """Open the directory of a day.

        Raises:
            FileNotFoundError: it, or one above it, is not there or is no directory.
        """
        descriptors = [self.root_fd]
        try:
            for name in day.split("/"):
                descriptors.append(_open_directory(name, descriptors[-1]))
            yield descriptors[-1]
        finally:
            _close_all(descriptors[1:])

    @contextmanager
    def made(self, day: str) -> Iterator[int]:
        """Open the directory of a day after making what is missing of it."""
        descriptors = [self.root_fd]
        try:
            for name in day.split("/"):
                descriptors.append(_make_directory(name, descriptors[-1]))
            yield descriptors[-1]
        finally:
            _close_all(descriptors[1:])

    def sync(self, day: str, descriptor: int) -> None:
        """Make the entries of an open day durable, and the day itself.

        The directories above it may have been made by a process that has not synced them yet, so this process syncs
        them once, whoever made them.
        """
        os.fsync(descriptor)
        stat = os.fstat(descriptor)
        identity = (stat.st_dev, stat.st_ino)
        if self._durable.get(day) == identity:
            return
        year, month, _ = day.split("/")
        for above in (f"{year}/{month}", year):
            with self.opened(above) as above_descriptor:
                os.fsync(above_descriptor)
        os.fsync(self.root_fd)
        if len(self._durable) >= _DAYS_REMEMBERED:
            self._durable.clear()
        self._durable[day] = identity

    def days(self, before: date) -> list[str]:
        """Return the days before `before` that have a directory, oldest first."""
        found = []
        for year in self._names("", _YEAR):
            for month in self._names(year, _MONTH_OR_DAY):
                for day in self._names(f"{year}/{month}", _MONTH_OR_DAY):
                    path = f"{year}/{month}/{day}"
                    parsed = _parsed(path)
                    if parsed is not None and parsed < before:
                        found.append(path)
        return found

    def remove_if_empty(self, day: str) -> None:
        """Remove an empty day that nobody has touched lately, and what becomes empty above it."""
        self._durable.pop(day, None)
        year, month, _ = day.split("/")
        for path in (day, f"{year}/{month}", year):
            above, _, name = path.rpartition("/")
            try:
                with self._opened_or_root(above) as descriptor:
                    stat = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    if path == day and time.time() - stat.st_mtime < _UNTOUCHED_SECONDS:
                        return
                    os.rmdir(name, dir_fd=descriptor)
            except OSError as error:
                if error.errno in _NOT_THERE | {errno.ENOTEMPTY, errno.EEXIST}:
                    return
                raise

    def _names(self, path: str, form: re.Pattern[str]) -> list[str]:
        try:
            with self._opened_or_root(path) as descriptor, os.scandir(descriptor) as entries:
                return sorted(entry.name for entry in entries if form.fullmatch(entry.name))
        except FileNotFoundError:
            return []

    @contextmanager
    def _opened_or_root(self, path: str) -> Iterator[int]:
        if path == "":
            with self.opened_root() as descriptor:
                yield descriptor
            return
        with self.opened(path) as descriptor:
            yield descriptor


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_directory(name: str, parent: int) -> int:
    try:
        return os.open(name, _OPEN_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise FileNotFoundError(error.errno, error.strerror, name) from error
        raise


def _make_directory(name: str, parent: int) -> int:
    try:
        return _open_directory(name, parent)
    except FileNotFoundError:
        pass
    with suppress(FileExistsError):
        os.mkdir(name, _MODE, dir_fd=parent)
    return _open_directory(name, parent)


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _parsed(day: str) -> date | None:
    try:
        return date.fromisoformat(day.replace("/", "-"))
    except ValueError:
        return None
