"""What a check of the registry finds: differences, and what is worth knowing."""

from dataclasses import dataclass, field
from enum import StrEnum

from shared.models import BlobKey, PackageFile, PackageFileId, PackageId, ProjectId


class FindingKind(StrEnum):
    """What a finding is about."""

    DATABASE = "database"
    """The database finds damage within itself."""
    BLOB_STORE = "blob-store"
    """The blob store is not the one of this database."""
    FILE = "file"
    """A file's bytes are gone, or not those that were received."""
    CORE_METADATA = "core-metadata"
    """The stored METADATA is not what the simple page says."""
    WAITING = "waiting"
    """A file waits for a worker for longer than it should."""
    PACKAGE = "package"
    """A package has no files."""
    STORAGE = "storage"
    """A project is said to hold more or less than its files do together."""
    ORPHAN = "orphan"
    """A blob has no row, and will get none any more."""
    PART = "part"
    """A killed upload has left a piece."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference.

    Args:
        target: what it is about: "package_file:19", "package:4", a blob key.
        problem: for people.
        file: the one that is meant, where it is one; likewise `file_id`, `package_id`, `project_id` and `blob_key`.
        is_adoptable: the blob store has another name, and yet all files are in it.
    """

    kind: FindingKind
    target: str
    problem: str
    file: PackageFile | None = None
    file_id: PackageFileId | None = None
    package_id: PackageId | None = None
    project_id: ProjectId | None = None
    blob_key: BlobKey | None = None
    is_adoptable: bool = False


@dataclass(slots=True)
class CheckReport:
    """What was found.

    Args:
        notes: what is worth knowing, and as it should be.
        checked: how many of what were looked at, by name.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
