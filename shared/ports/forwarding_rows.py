"""The part of the metadata port that tells whether a name may be looked for upstream."""

from typing import Protocol

from shared.models import ForwardingRule, Namespace, NamespaceId, ProjectId
from shared.names import NormalizedName


class ForwardingReads(Protocol):
    """Look up what was never here, and what is wanted then."""

    async def rules(self, namespace: Namespace) -> tuple[ForwardingRule, ...]:
        """Return what the namespace and all that it lies in say; the top level first, itself last."""
        ...

    async def was_in_project(self, project_id: ProjectId, name: NormalizedName) -> bool:
        """Say whether the project has, or ever had, a package of this name; what was refused does not count."""
        ...

    async def was_below_group(self, group_id: NamespaceId, name: NormalizedName) -> bool:
        """Say whether any project in the group, or in a group below it, has or ever had a package of this name.

        Whoever may see those projects, and even if they, or the groups between, are deleted.
        """
        ...
