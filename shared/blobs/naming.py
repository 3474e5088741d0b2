"""The name of a disk store: an empty directory `.name-<name>` in its root, which nothing can mistake for a blob.

A disk that is not mounted leaves an empty directory in its place, which has no such name.
"""

import os
import re
from contextlib import suppress

from shared.blobs.directories import DayDirectories

_PREFIX = ".name-"
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
    if not _NAME.fullmatch(name):
        raise ValueError("the name of a blob store is 32 hexadecimal digits")
    with directories.opened_root() as root:
        for other in _names(root):
            if other != name:
                with suppress(FileNotFoundError):
                    os.rmdir(_PREFIX + other, dir_fd=root)
        with suppress(FileExistsError):
            os.mkdir(_PREFIX + name, 0o700, dir_fd=root)
        os.fsync(root)


def _names(root: int) -> list[str]:
    with os.scandir(root) as entries:
        names = [entry.name.removeprefix(_PREFIX) for entry in entries if entry.name.startswith(_PREFIX)]
    return sorted(name for name in names if _NAME.fullmatch(name))
