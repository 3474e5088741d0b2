"""Names, versions and file names of packages: what is taken, what is one and the same, what a file name says."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from packaging.utils import (
    InvalidName,
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    canonicalize_version,
    parse_sdist_filename,
    parse_wheel_filename,
)

from shared.errors import ValidationFailed

NormalizedName = NewType("NormalizedName", str)
"""A package name as PEP 503 compares it."""

MAX_NAME_CHARACTERS = 255
_MAX_VERSION_CHARACTERS = 255
_MAX_FILE_NAME_BYTES = 255
_MAX_TAGS = 1_000
"""A compressed tag set stands for the product of its parts, which a hostile name makes very large."""

# Source: GitLab, Gitlab::Regex.package_name_regex. The groups are atomic there too, against backtracking.
_PACKAGE_NAME = re.compile(
    r"@?(?>(?:[\w\-.+]*/)*[\w\-.]+)@?(?>(?:[\w\-.+]*/)*[\w\-.]*)",
    re.ASCII,
)
# Source: GitLab, Gitlab::Regex.pypi_version_regex.
_VERSION = re.compile(
    r"v?"
    r"(?:[0-9]+!)?"
    r"[0-9]+(?:\.[0-9]+)*"
    r"(?:[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview)[-_.]?[0-9]*)?"
    r"(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?"
    r"(?:[-_.]?dev[-_.]?[0-9]*)?"
    r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?",
    re.ASCII | re.IGNORECASE,
)
_DISTRIBUTION_FILE_NAME = re.compile(r"[A-Za-z0-9._+!-]+")


class DistributionKind(StrEnum):
    """What a distribution is for: to be unpacked into an environment, or to be built first."""

    WHEEL = "wheel"
    SDIST = "sdist"


class ArchiveFormat(StrEnum):
    """How a distribution is packed."""

    ZIP = "zip"
    TAR_GZ = "tar.gz"


@dataclass(frozen=True, slots=True)
class DistributionName:
    """What the file name of a distribution says.

    Args:
        version: as the file name spells it.
        python_tag: of a wheel, compressed sets included ("py2.py3"); "source" for an sdist.
    """

    name: NormalizedName
    version: str
    canonical_version: str
    kind: DistributionKind
    archive_format: ArchiveFormat
    python_tag: str


def normalize_name(name: str) -> NormalizedName:
    """Return what makes spellings of a package name one. Source: PEP 503, "Normalized Names"."""
    return NormalizedName(canonicalize_name(name))


def canonical_version(version: str) -> str:
    """Return what makes spellings of a version one; a version that PEP 440 does not know keeps its text."""
    return canonicalize_version(version)


def check_package_name(name: str) -> None:
    """Refuse what cannot be the name of a package.

    Raises:
        ValidationFailed: it is too long or has characters that names do not have.

    Source: contract, PyPI 6.3.
    """
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValidationFailed(f"Name is too long (maximum is {MAX_NAME_CHARACTERS} characters)")
    if not _PACKAGE_NAME.fullmatch(name):
        raise ValidationFailed("Name is invalid")


def check_version(version: str) -> None:
    """Refuse what cannot be the version of a package.

    Raises:
        ValidationFailed: it is too long or not of PEP 440's form.

    Source: contract, PyPI 6.3.
    """
    if len(version) > _MAX_VERSION_CHARACTERS:
        raise ValidationFailed(f"Version is too long (maximum is {_MAX_VERSION_CHARACTERS} characters)")
    if not _VERSION.fullmatch(version):
        raise ValidationFailed("Version is invalid")


def base_name(raw: str) -> str:
    """Return the last component of a path, as Ruby's File.basename does; a backslash counts as a slash."""
    path = raw.replace("\\", "/")
    return path.rstrip("/").rpartition("/")[2] or path[:1]


def sanitize_file_name(raw: str) -> str:
    """Return the file name under which any upload may be stored: one path component without surprising characters.

    Raises:
        ValidationFailed: it has more than 255 bytes, which no file system takes.

    Source: contract, PyPI 6.3; GitLab, UploadedFile#sanitize_filename, with Ruby's File.basename.
    """
    name = "".join(character if _is_kept(character) else "_" for character in base_name(raw))
    if name and not name.strip("."):
        name = f"_{name}"
    if not name:
        name = "unnamed"
    if len(name.encode()) > _MAX_FILE_NAME_BYTES:
        raise ValidationFailed(f"File name is too long (maximum is {_MAX_FILE_NAME_BYTES} bytes)")
    return name


def parse_distribution_file_name(file_name: str) -> DistributionName:
    """Return what the name of a wheel or sdist says.

    The exact spelling of PEP 625 and 427 is no condition: many sdists and wheels are older than those.

    Raises:
        ValidationFailed: no installer would take a file of this name for a distribution.
    """
    if len(file_name) > _MAX_FILE_NAME_BYTES:
        raise ValidationFailed(f"File name is too long (maximum is {_MAX_FILE_NAME_BYTES} bytes)")
    if not file_name.endswith((".whl", ".tar.gz", ".zip")):
        raise ValidationFailed("File name is that of no wheel or sdist: it must end in .whl, .tar.gz or .zip")
    if not _DISTRIBUTION_FILE_NAME.fullmatch(file_name):
        raise ValidationFailed("File name is invalid: it may hold ASCII letters, digits and . _ - + ! only")
    named = _parse_wheel_file_name(file_name) if file_name.endswith(".whl") else _parse_sdist_file_name(file_name)
    try:
        canonicalize_name(named.name, validate=True)
    except InvalidName as error:
        raise ValidationFailed(
            "File name is invalid: the name in it must begin and end with a letter or digit"
        ) from error
    return named


def _parse_wheel_file_name(file_name: str) -> DistributionName:
    stem = file_name.removesuffix(".whl")
    parts = stem.split("-")
    tags = 1
    for compressed in parts[-3:]:
        tags *= compressed.count(".") + 1
    if tags > _MAX_TAGS:
        raise ValidationFailed("File name is invalid: it stands for too many tags")
    try:
        name, version, _, _ = parse_wheel_filename(file_name)
    except InvalidWheelFilename as error:
        raise ValidationFailed(
            f"File name is not that of a wheel (name-version-python-abi-platform.whl): {_explanation(error)}"
        ) from error
    return DistributionName(
        name=NormalizedName(name),
        version=parts[1],
        canonical_version=canonicalize_version(version),
        kind=DistributionKind.WHEEL,
        archive_format=ArchiveFormat.ZIP,
        python_tag=parts[-3],
    )


def _parse_sdist_file_name(file_name: str) -> DistributionName:
    try:
        name, version = parse_sdist_filename(file_name)
    except InvalidSdistFilename as error:
        raise ValidationFailed(
            f"File name is not that of an sdist (name-version.tar.gz): {_explanation(error)}"
        ) from error
    is_zip = file_name.endswith(".zip")
    return DistributionName(
        name=NormalizedName(name),
        version=file_name.removesuffix(".zip").removesuffix(".tar.gz").rpartition("-")[2],
        canonical_version=canonicalize_version(version),
        kind=DistributionKind.SDIST,
        archive_format=ArchiveFormat.ZIP if is_zip else ArchiveFormat.TAR_GZ,
        python_tag="source",
    )


def _explanation(error: InvalidWheelFilename | InvalidSdistFilename) -> str:
    """Return what packaging objects to: "Invalid wheel filename (invalid version): 'a-b'" -> "invalid version"."""
    in_brackets = re.search(r"\(([^()]*)\)", str(error))
    if in_brackets:
        return in_brackets[1]
    # Without a dash there is nothing that packaging could call by its name.
    return "no version" if isinstance(error, InvalidSdistFilename) else str(error).partition(":")[0].lower()


def _is_kept(character: str) -> bool:
    """Say whether a character survives in a file name. Source: Ruby's [[:word:]] and the three that GitLab adds."""
    if character in ".-+":
        return True
    category = unicodedata.category(character)
    return category[0] in "LM" or category in {"Nd", "Pc"}
