"""From the bytes of a distribution to its core metadata."""

from typing import BinaryIO

from shared.distributions.archives import ArchiveLimits
from shared.distributions.core_metadata import read_core_metadata
from shared.distributions.sdist import find_sdist_metadata
from shared.distributions.wheel import find_wheel_metadata
from shared.errors import DistributionRejected
from shared.models import CoreMetadata
from shared.names import DistributionKind, canonical_version, normalize_name, parse_distribution_file_name


def read_distribution(file: BinaryIO, *, file_name: str, limits: ArchiveLimits) -> CoreMetadata:
    """Return the core metadata of a wheel or sdist whose file name, archive and metadata agree.

    Hostile archives cost time and memory up to the limits and to what the caller's process may use, so this belongs
    into a process of its own.

    Args:
        file: the whole distribution, seekable.

    Raises:
        DistributionRejected: the archive is not that of such a distribution, or not safe to open.
        ValidationFailed: the file name is that of no distribution.
        MemoryError: the process may not use as much memory as the archive asks for.
    """
    named = parse_distribution_file_name(file_name)
    match named.kind:
        case DistributionKind.WHEEL:
            found = find_wheel_metadata(file, named, limits=limits)
        case DistributionKind.SDIST:
            found = find_sdist_metadata(file, named, limits=limits)
    metadata = read_core_metadata(found.raw, has_license_file=found.has_license_file)
    if normalize_name(metadata.name) != named.name:
        raise DistributionRejected(f"metadata names {metadata.name}, the file name says {named.name}")
    if canonical_version(metadata.version) != named.canonical_version:
        raise DistributionRejected(f"metadata says version {metadata.version}, the file name says {named.version}")
    return metadata
