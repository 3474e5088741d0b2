"""The part of the metadata port that is about package protection rules."""

from typing import Protocol

from shared.models import ProjectId
from shared.protection import ProtectedPackageType, ProtectionRule, ProtectionRuleId, ProtectionTerms


class ProtectionRuleReads(Protocol):
    """Look up the rules of projects."""

    async def of_project(self, project_id: ProjectId) -> tuple[ProtectionRule, ...]:
        """Return all rules of the project, oldest first."""
        ...

    async def one(self, project_id: ProjectId, rule_id: ProtectionRuleId) -> ProtectionRule | None:
        """Return the rule, or None when the project has none of this id."""
        ...

    async def named(
        self, project_id: ProjectId, *, package_type: ProtectedPackageType, package_name_pattern: str
    ) -> ProtectionRule | None:
        """Return the project's one rule with just this pattern for packages of the type, or None."""
        ...

    async def count(self, project_id: ProjectId) -> int:
        """Return how many rules the project has."""
        ...


class ProtectionRuleWrites(ProtectionRuleReads, Protocol):
    """Change the rules of projects. Each change of what a project's rules say counts for the project."""

    async def lock(self, project_id: ProjectId) -> bool:
        """Make whoever changes rules of the same project wait; False when the project is gone."""
        ...

    async def hold(self, project_id: ProjectId) -> bool:
        """Make whoever changes the project's rules wait for this transaction; False when the project is gone.

        To be called before any package is locked.
        """
        ...

    async def add(self, project_id: ProjectId, terms: ProtectionTerms) -> ProtectionRule:
        """Add a rule. The project is locked, and has no other with this pattern for the type."""
        ...

    async def change(
        self, project_id: ProjectId, rule_id: ProtectionRuleId, *, terms: ProtectionTerms
    ) -> ProtectionRule | None:
        """Let the rule say this from now on; None when there is none. The same holds as for `add`."""
        ...

    async def remove(self, project_id: ProjectId, rule_id: ProtectionRuleId) -> bool:
        """Remove the rule; False when there is none."""
        ...
