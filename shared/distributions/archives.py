"""What holds for every archive, however it is packed: the limits, and which member names are taken."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.errors import DistributionRejected

_MIB = 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much an archive may ask of those who open it.

    Args:
        max_entries: members, directories and links included.
        max_name_bytes: of one member's path.
        max_expanded_bytes: of all members together.
        max_ratio: expanded bytes for each byte of the archive.
        ratio_from_bytes: archives that expand to less than this may compress as well as they can.
        max_metadata_bytes: of METADATA or PKG-INFO.
    """

    max_entries: int = 100_000
    max_name_bytes: int = 1024
    max_expanded_bytes: int = 16 * 1024 * _MIB
    max_ratio: int = 100
    ratio_from_bytes: int = 64 * _MIB
    max_metadata_bytes: int = _MIB

    def check_entries(self, entries: int) -> None:
        """Refuse an archive with this many members when that is too many.

        Raises:
            DistributionRejected: it is.
        """
        if entries > self.max_entries:
            raise DistributionRejected(f"archive has more than {self.max_entries} entries")

    def check_expansion(self, expanded_bytes: int, *, archive_bytes: int) -> None:
        """Refuse an archive of this size that expands to this much when that is too much.

        Raises:
            DistributionRejected: it is.
        """
        if expanded_bytes > self.max_expanded_bytes:
            raise DistributionRejected(f"archive expands to more than {self.max_expanded_bytes // _MIB} MiB")
        if expanded_bytes > self.ratio_from_bytes and expanded_bytes > self.max_ratio * archive_bytes:
            raise DistributionRejected(f"archive expands to more than {self.max_ratio} times its size")

    def check_metadata_size(self, name: str, size_bytes: int) -> None:
        """Refuse a metadata file of this size when it is too large.

        Raises:
            DistributionRejected: it is.
        """
        if size_bytes > self.max_metadata_bytes:
            raise DistributionRejected(f"{name} is larger than {self.max_metadata_bytes} bytes")


@dataclass(frozen=True, slots=True)
class FoundMetadata:
    """The core metadata of a distribution, before anybody has read it.

    Args:
        raw: its bytes, unmodified.
        has_license_file: whether there is in the archive what a License-File of this value names (PEP 639).
    """

    raw: bytes
    has_license_file: Callable[[str], bool]


def member_path(name: str, *, limits: ArchiveLimits) -> str:
    """Return where a member lies in its archive: components joined by single slashes; "" for the root itself.

    Raises:
        DistributionRejected: an archive that is unpacked somewhere must not have such a member.
    """
    if len(name.encode("utf-8", "surrogateescape")) > limits.max_name_bytes:
        raise DistributionRejected(f"archive has a member whose name is longer than {limits.max_name_bytes} bytes")
    if _CONTROL.search(name):
        raise DistributionRejected(f"archive has a member with control characters in its name: {shown(name)}")
    if "\\" in name:
        raise DistributionRejected(f"archive has a member with a backslash in its name: {shown(name)}")
    if name.startswith("/") or _DRIVE.match(name):
        raise DistributionRejected(f"archive has a member with an absolute path: {shown(name)}")
    components = [component for component in name.split("/") if component not in {"", "."}]
    if ".." in components:
        raise DistributionRejected(f"archive has a member outside of its directory: {shown(name)}")
    return "/".join(components)


def shown(name: str) -> str:
    """Return a name from an archive so that it can stand in a message: quoted, ASCII, not long."""
    if len(name) <= _SHOWN_CHARACTERS:
        return ascii(name)
    return ascii(name[:_SHOWN_CHARACTERS] + "...")
