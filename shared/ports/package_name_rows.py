"""The part of the metadata port that is about package names as a whole, and what a project says of them (PEP 792).

A name is known from its first package on. It is forgotten only when no file of it was ever accepted, no package of it
is left, and nothing was said of it.
"""

from typing import Protocol

from shared.models import ProjectId
from shared.names import NormalizedName
from shared.status_markers import StatusMarker


class PackageNameReads(Protocol):
    """Look up names."""

    async def marker(self, project_id: ProjectId, name: NormalizedName) -> StatusMarker | None:
        """Return what is said of the name; None when the project does not know it."""
        ...


class PackageNameWrites(PackageNameReads, Protocol):
    """Say something of names."""

    async def hold(self, project_id: ProjectId, name: NormalizedName) -> StatusMarker | None:
        """Return what is said of the name, and keep it so until the transaction ends; None when it is not known.

        Several transactions may hold one name; whoever wants to change what is said of it waits for all of them.
        """
        ...

    async def lock(self, project_id: ProjectId, name: NormalizedName) -> StatusMarker | None:
        """Lock the name until the transaction ends and return what is said of it; None when it is not known."""
        ...

    async def mark(self, project_id: ProjectId, name: NormalizedName, *, marker: StatusMarker) -> bool:
        """Say this of the name from now on. False when it is not known; then nothing changed."""
        ...
