"""A gzip-compressed tar archive, read once from front to back."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import BinaryIO, Self

from shared.distributions.archives import ArchiveLimits, member_path, shown
from shared.distributions.gzip_stream import GzipStream
from shared.errors import DistributionRejected

_BUFFER_BYTES = 256 * 1024


class TarMemberKind(Enum):
    """What a member makes when it is unpacked."""

    FILE = auto()
    DIRECTORY = auto()
    SYMBOLIC_LINK = auto()
    HARD_LINK = auto()


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member whose path was checked.

    Args:
        size_bytes: of a file's content.
        link_target: as a link spells it: for a symbolic link relative to its directory, for a hard link to the root.
    """

    path: str
    kind: TarMemberKind
    size_bytes: int
    link_target: str


class TarGzArchive:
    """The members of an archive in their order; they can be gone through once.

    Raises:
        DistributionRejected: from every method: the archive is damaged, breaks a limit, or has a member that must
            not be unpacked.
    """

    def __init__(self, file: BinaryIO, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._stream = io.BufferedReader(GzipStream(file, limits), _BUFFER_BYTES)

    def __iter__(self) -> Iterator[TarMember]:
        """Yield the members; the content of each can be read until the next one is asked for."""
        try:
            with tarfile.TarFile(
                fileobj=self._stream, mode="r", encoding="utf-8", errors="surrogateescape", tarinfo=_StrictTarInfo
            ) as archive:
                entries = 0
                while (info := archive.next()) is not None:
                    entries += 1
                    self._limits.check_entries(entries)
                    yield self._member(info)
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            # tarfile also lets the errors of its number and text parsing through.
            raise DistributionRejected("tar archive is damaged") from error
        self._check_end()

    def read(self, member: TarMember) -> bytes:
        """Return the content of the file that was yielded last."""
        content = self._stream.read(member.size_bytes)
        if len(content) != member.size_bytes:
            raise DistributionRejected("tar archive is damaged: it ends too early")
        return content

    def _member(self, info: tarfile.TarInfo) -> TarMember:
        path = member_path(info.name, limits=self._limits)
        if len(info.linkname) > self._limits.max_name_bytes:
            raise DistributionRejected(f"archive has a link whose target is too long: {shown(info.name)}")
        if info.issparse():
            raise DistributionRejected(f"tar archive has a sparse member: {shown(info.name)}")
        if info.size < 0:
            raise DistributionRejected("tar archive is damaged: a member has a wrong size")
        if info.isreg():
            kind = TarMemberKind.FILE
        elif info.isdir():
            kind = TarMemberKind.DIRECTORY
        elif info.issym():
            kind = TarMemberKind.SYMBOLIC_LINK
        elif info.islnk():
            kind = TarMemberKind.HARD_LINK
        else:
            raise DistributionRejected(f"tar archive has a member that is a device or unknown: {shown(info.name)}")
        return TarMember(path=path, kind=kind, size_bytes=info.size, link_target=info.linkname)

    def _check_end(self) -> None:
        """See that nothing but padding follows the end mark: some readers would take it for members."""
        while chunk := self._stream.read(_BUFFER_BYTES):
            if chunk.count(0) != len(chunk):
                raise DistributionRejected("data follows the end of the tar archive")


class _StrictTarInfo(tarfile.TarInfo):
    """Takes a damaged header for what it is. tarfile would take it for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):
                raise DistributionRejected("tar archive is damaged: a header is unreadable") from error
            raise
