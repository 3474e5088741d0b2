"""What a project says of a package name as a whole. Source: PEP 792, which calls the name a project."""

from dataclasses import dataclass
from enum import StrEnum


class NameStatus(StrEnum):
    """The state of a package name."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    DEPRECATED = "deprecated"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class StatusMarker:
    """The state of a package name, and why.

    Args:
        reason: None when none was given.
    """

    status: NameStatus = NameStatus.ACTIVE
    reason: str | None = None


UNMARKED = StatusMarker()
"""What is said of a name of which nothing was ever said."""


def takes_uploads(marker: StatusMarker) -> bool:
    """Say whether new files may come to a name."""
    return marker.status not in (NameStatus.ARCHIVED, NameStatus.QUARANTINED)


def offers_files(marker: StatusMarker) -> bool:
    """Say whether the files of a name may be shown and fetched."""
    return marker.status is not NameStatus.QUARANTINED


def common_marker(markers: set[StatusMarker]) -> StatusMarker:
    """Return what several projects that have the same name say of it together.

    A page that shows the files of all of them has room for one status only. What they do not agree on is left out: a
    status that holds for some files would be wrong about the others.
    """
    statuses = {marker.status for marker in markers}
    reasons = {marker.reason for marker in markers}
    if len(statuses) != 1:
        return UNMARKED
    return StatusMarker(statuses.pop(), reasons.pop() if len(reasons) == 1 else None)
