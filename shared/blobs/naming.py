"""The name of a disk store: an empty directory `.name-<name>` in its root, which nothing can mistake for a blob.

A disk that is not mounted leaves an empty directory in its place, which has no such name.
"""

import os
import re
from contextlib import suppress

from shared.blobs.directories import DayDirectories

NAME_PREFIX = ".name-"
_NAME = re.compile(r"[0-9a-f]{32}")


def read_name(directories: DayDirectories) -> str | None:
    """Return the name of the store, or None.

    Raises:
        OSError: as the system says.
    """
    with directories.opened_root() as root:
        found = _names(root)
    return found[0] if len(found) == 1 else None


def write_name(directories: DayDirectories, name: str) -> None:
    """Give the store this name and take any other away.

    Raises:
        OSError: as the system says.
        ValueError: it is no name.
    """
    check_name(name)
    with directories.opened_root() as root:
        for other in _names(root):
            if other != name:
                with suppress(FileNotFoundError):
                    os.rmdir(NAME_PREFIX + other, dir_fd=root)
        with suppress(FileExistsError):
            os.mkdir(NAME_PREFIX + name, 0o700, dir_fd=root)
        os.fsync(root)


def check_name(name: str) -> None:
    """Return when this can be the name of a blob store.

    Raises:
        ValueError: it cannot.
    """
    if not is_name(name):
        raise ValueError("the name of a blob store is 32 hexadecimal digits")


def is_name(text: str) -> bool:
    """Say whether this can be the name of a blob store."""
    return _NAME.fullmatch(text) is not None


def _names(root: int) -> list[str]:
    with os.scandir(root) as entries:
        names = [entry.name.removeprefix(NAME_PREFIX) for entry in entries if entry.name.startswith(NAME_PREFIX)]
    return sorted(name for name in names if is_name(name))
