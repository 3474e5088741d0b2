"""The part of the metadata port that changes groups and projects which are there, and deletes them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.models import Namespace, Project, RegistryAccess, Visibility


class ForwardingChoice(StrEnum):
    """What a group does with requests for names that it does not know."""

    INHERIT = "inherit"
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """What is to be otherwise about a group; None: nothing."""

    name: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    forwarding: ForwardingChoice | None = None
    locks_forwarding: bool | None = None


@dataclass(frozen=True, slots=True)
class ProjectChanges:
    """What is to be otherwise about a project; None: nothing."""

    name: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    registry_access: RegistryAccess | None = None


class TenantChanges(Protocol):
    """Change and delete groups and projects."""

    async def change_group(self, group: Namespace, changes: GroupChanges) -> Namespace | None:
        """Change the group and return it as it is now; None when it is gone.

        Raises:
            RecordInvalid: it would be more visible than what it lies in, or less visible than a group or project that
                lies in it; or something above it has locked forwarding.
        """
        ...

    async def change_project(self, project: Project, changes: ProjectChanges) -> Project | None:
        """Change the project and return it as it is now; None when it is gone.

        Raises:
            RecordInvalid: another project of its namespace has that name, or it would be more visible than its group.
        """
        ...

    async def doom_group(self, group: Namespace) -> bool:
        """Delete the group with all groups and projects below it, and their memberships; False when it is gone.

        Their rows stay and are marked, so that their ids never come back; their paths are free. Their packages are
        left to `doom_stranded_packages`.
        """
        ...

    async def doom_project(self, project: Project) -> bool:
        """Delete the project and its memberships; False when it is gone. Otherwise as `doom_group`."""
        ...

    async def doom_stranded_packages(self, *, limit: int) -> int:
        """Move packages of deleted projects, with their files, to `pending_destruction`; return how many.

        Packages that somebody has locked are left for the next time.
        """
        ...
