"""Wheels: where their METADATA is. Source: the binary distribution format (PEP 427)."""

import email.parser
from typing import BinaryIO

from shared.distributions.archives import ArchiveLimits, FoundMetadata, shown
from shared.distributions.directory_names import names_distribution
from shared.distributions.zip_archive import ZipArchive, open_zip
from shared.errors import DistributionRejected
from shared.names import DistributionName

_DIST_INFO = ".dist-info"
_LICENSES = "licenses"
_WHEEL_MAJOR = "1"
_MAX_WHEEL_FILE_BYTES = 64 * 1024


def find_wheel_metadata(file: BinaryIO, named: DistributionName, *, limits: ArchiveLimits) -> FoundMetadata:
    """Return METADATA; a License-File lies below `licenses/` beside it (PEP 639).

    Args:
        file: the whole wheel, seekable.
        named: what the wheel's file name says.

    Raises:
        DistributionRejected: it is no wheel, not this one, or not safe to open.
    """
    archive = open_zip(file, limits)
    directory = _find_dist_info(archive)
    if not names_distribution(directory.removesuffix(_DIST_INFO), named):
        raise DistributionRejected(
            f"dist-info directory {shown(directory)} is not that of {named.name} {named.version}"
        )
    for required in ("METADATA", "WHEEL", "RECORD"):
        path = f"{directory}/{required}"
        member = archive.members.get(path)
        # Installers look for exactly this name, so "./" and the like in it make it another.
        if member is None or member.record.name != path:
            raise DistributionRejected(f"{required} is missing in the dist-info directory")
    _check_format(archive.read(f"{directory}/WHEEL", max_bytes=_MAX_WHEEL_FILE_BYTES))

    def has_license_file(path: str) -> bool:
        member = archive.members.get(f"{directory}/{_LICENSES}/{path}")
        return member is not None and not member.is_directory

    raw = archive.read(f"{directory}/METADATA", max_bytes=limits.max_metadata_bytes)
    return FoundMetadata(raw, has_license_file)


def _find_dist_info(archive: ZipArchive) -> str:
    top_level = {path.partition("/")[0] for path in archive.members}
    found = sorted(name for name in top_level if name.endswith(_DIST_INFO))
    if not found:
        raise DistributionRejected("dist-info directory is missing")
    if len(found) > 1:
        raise DistributionRejected(f"wheel has several dist-info directories: {shown(found[0])}, {shown(found[1])}")
    return found[0]


def _check_format(wheel_file: bytes) -> None:
    """Refuse versions of the wheel format that mean something else. Source: PEP 427, "Installing a wheel"."""
    headers = email.parser.BytesParser().parsebytes(wheel_file, headersonly=True)
    versions = headers.get_all("Wheel-Version", [])
    if len(versions) != 1:
        raise DistributionRejected("WHEEL file does not give one Wheel-Version")
    version = str(versions[0]).strip()
    if version.partition(".")[0] != _WHEEL_MAJOR:
        raise DistributionRejected(f"Wheel-Version {shown(version)} is not supported")
