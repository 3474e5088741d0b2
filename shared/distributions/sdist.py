"""Sdists: where their PKG-INFO is. Source: the source distribution format (PEP 625), and twenty years before it."""

from typing import BinaryIO

from shared.distributions.archives import ArchiveLimits, FoundMetadata, shown
from shared.distributions.directory_names import names_distribution
from shared.distributions.links import check_links
from shared.distributions.tar_archive import TarGzArchive, TarMember, TarMemberKind
from shared.distributions.zip_archive import open_zip
from shared.errors import DistributionRejected
from shared.names import ArchiveFormat, DistributionName

_PKG_INFO = "PKG-INFO"
_APPLE_DOUBLE = "._"
_GLOBAL_HEADER = "pax_global_header"


def find_sdist_metadata(file: BinaryIO, named: DistributionName, *, limits: ArchiveLimits) -> FoundMetadata:
    """Return the PKG-INFO in the top directory; the path of a License-File is relative to that (PEP 639).

    Args:
        file: the whole sdist, seekable.
        named: what the sdist's file name says.

    Raises:
        DistributionRejected: it is no sdist, not this one, or not safe to open.
    """
    match named.archive_format:
        case ArchiveFormat.ZIP:
            return _read_zip(file, named, limits)
        case ArchiveFormat.TAR_GZ:
            return _read_tar_gz(file, named, limits)


def _read_zip(file: BinaryIO, named: DistributionName, limits: ArchiveLimits) -> FoundMetadata:
    archive = open_zip(file, limits)
    top = _TopDirectory(named)
    for path, member in archive.members.items():
        top.add(path, is_directory=member.is_directory)
    pkg_info = f"{top.name}/{_PKG_INFO}"
    found = archive.members.get(pkg_info)
    if found is None or found.is_directory:
        raise DistributionRejected(f"{_PKG_INFO} is missing in the top directory")
    limits.check_metadata_size(_PKG_INFO, found.record.expanded_bytes)

    def has_license_file(path: str) -> bool:
        member = archive.members.get(f"{top.name}/{path}")
        return member is not None and not member.is_directory

    return FoundMetadata(archive.read(pkg_info, max_bytes=limits.max_metadata_bytes), has_license_file)


def _read_tar_gz(file: BinaryIO, named: DistributionName, limits: ArchiveLimits) -> FoundMetadata:
    archive = TarGzArchive(file, limits)
    top = _TopDirectory(named)
    contents = _Contents()
    metadata: bytes | None = None
    for member in archive:
        top.add(member.path, is_directory=member.kind is TarMemberKind.DIRECTORY)
        contents.add(member)
        if member.path != f"{top.name}/{_PKG_INFO}":
            continue
        if metadata is not None or member.kind is not TarMemberKind.FILE:
            raise DistributionRejected(f"{_PKG_INFO} is there twice, or is no plain file")
        limits.check_metadata_size(_PKG_INFO, member.size_bytes)
        metadata = archive.read(member)
    if metadata is None:
        raise DistributionRejected(f"{_PKG_INFO} is missing in the top directory")
    contents.check_links(top.name)
    return FoundMetadata(metadata, lambda path: contents.has(f"{top.name}/{path}"))


class _TopDirectory:
    """The one directory that everything in an sdist lies in."""

    def __init__(self, named: DistributionName) -> None:
        self._named = named
        self.name = ""

    def add(self, path: str, *, is_directory: bool) -> None:
        first, _, below = path.partition("/")
        if first == self.name and (below or is_directory):
            return
        if not path or _is_residue(path, is_directory=is_directory):
            return
        if not below and not is_directory:
            raise DistributionRejected(f"sdist has a member outside of its top directory: {shown(path)}")
        if self.name:
            raise DistributionRejected(f"sdist has several top directories: {shown(self.name)}, {shown(first)}")
        if not names_distribution(first, self._named):
            raise DistributionRejected(
                f"top directory {shown(first)} is not that of {self._named.name} {self._named.version}"
            )
        self.name = first


class _Contents:
    """What an archive holds: its files, and where its links lead."""

    def __init__(self) -> None:
        self._symbolic: dict[str, str] = {}
        self._hard: dict[str, str] = {}
        self._others: set[str] = set()
        self._directories: set[str] = set()

    def add(self, member: TarMember) -> None:
        directory = member.path
        while (directory := directory.rpartition("/")[0]) and directory not in self._directories:
            self._directories.add(directory)
        is_link_already = member.path in self._symbolic or member.path in self._hard
        match member.kind:
            case TarMemberKind.SYMBOLIC_LINK:
                is_taken = is_link_already or member.path in self._others
                self._symbolic[member.path] = member.link_target
            case TarMemberKind.HARD_LINK:
                is_taken = is_link_already or member.path in self._others
                self._hard[member.path] = member.link_target
            case TarMemberKind.FILE | TarMemberKind.DIRECTORY:
                is_taken = is_link_already
                self._others.add(member.path)
        if is_taken:
            raise DistributionRejected(f"sdist has a link and another member of one name: {shown(member.path)}")

    def has(self, path: str) -> bool:
        """Say whether there is a member of this path."""
        return path in self._others or path in self._symbolic or path in self._hard

    def check_links(self, top: str) -> None:
        check_links(self._symbolic, self._hard, directories=self._directories, top=top)


def _is_residue(path: str, *, is_directory: bool) -> bool:
    """Say whether a member beside the top directory is what some tar programs leave there for others to ignore."""
    return not is_directory and "/" not in path and (path == _GLOBAL_HEADER or path.startswith(_APPLE_DOUBLE))
