"""List, add, change and remove the package protection rules of a project.

Source: lib/api/project_packages_protection_rules.rb, app/services/packages/protection/*_rule_service.rb.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.errors import NotFound, PreconditionFailed, ProtectionRuleInvalid, RecordNotFound
from shared.models import ProjectId
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.principals import SignedIn, actor_of
from shared.protection import (
    ProtectedPackageType,
    ProtectionLevel,
    ProtectionRule,
    ProtectionRuleId,
    ProtectionTerms,
    problems_of,
)
from shared.usecases.visits import Visit

MOST_RULES = 1000
"""How many rules a project may have: they are listed in one piece, and each upload is held against all of them."""


@dataclass(frozen=True, slots=True)
class MinimumLevel:
    """A level that a rule shall ask for, or None for none any more."""

    level: ProtectionLevel | None


@dataclass(frozen=True, slots=True)
class ProtectionRuleChange:
    """What shall become of a rule; None leaves a thing as it is."""

    package_name_pattern: str | None
    package_type: ProtectedPackageType | None
    for_push: MinimumLevel | None
    for_delete: MinimumLevel | None

    def applied_to(self, terms: ProtectionTerms) -> ProtectionTerms:
        """Return what the rule says after the change."""
        return ProtectionTerms(
            package_name_pattern=(
                terms.package_name_pattern if self.package_name_pattern is None else self.package_name_pattern
            ),
            package_type=self.package_type or terms.package_type,
            minimum_access_level_for_push=(
                terms.minimum_access_level_for_push if self.for_push is None else self.for_push.level
            ),
            minimum_access_level_for_delete=(
                terms.minimum_access_level_for_delete if self.for_delete is None else self.for_delete.level
            ),
        )


@dataclass(frozen=True, slots=True)
class ListProtectionRules:
    """List the rules of a project."""

    store: MetadataStore

    async def __call__(self, visit: Visit) -> tuple[ProtectionRule, ...]:
        """Return all of them, oldest first."""
        async with self.store.reading() as rows:
            rules = await rows.protection_rules.of_project(visit.project.id)
        return tuple(_as_told(rule, visit) for rule in rules)


@dataclass(frozen=True, slots=True)
class CreateProtectionRule:
    """Add a rule to a project."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, visit: Visit, *, terms: ProtectionTerms) -> ProtectionRule:
        """Return the new rule; it holds for each upload and delete that has not come to its transaction yet.

        Raises:
            ProtectionRuleInvalid: it asks for no level, its pattern is bad or taken, or the project has too many.
            NotFound: "Project": it was deleted meanwhile.
        """
        if not visit.settings.packages_protected_packages_delete:
            terms = terms.without_delete()
        _check(terms)
        project_id = visit.project.id
        async with self.store.writing() as rows:
            await _lock(rows, project_id)
            await _refuse_taken(rows, project_id, terms)
            if await rows.protection_rules.count(project_id) >= MOST_RULES:
                raise ProtectionRuleInvalid(f"A project may have at most {MOST_RULES} package protection rules.")
            rule = await rows.protection_rules.add(project_id, terms)
            await _audit(rows, "protection_rule.created", caller, rule)
        return rule


@dataclass(frozen=True, slots=True)
class ChangeProtectionRule:
    """Change a rule of a project."""

    store: MetadataStore

    async def __call__(
        self, caller: SignedIn, visit: Visit, *, rule_id: ProtectionRuleId, change: ProtectionRuleChange
    ) -> ProtectionRule:
        """Return the rule as it is now.

        Raises:
            RecordNotFound: the project has no such rule.
            ProtectionRuleInvalid: it would ask for no level, or its pattern is bad or taken.
            NotFound: "Project": it was deleted meanwhile.

        Idempotent: a change that leaves all as it is counts for nothing.
        """
        if not visit.settings.packages_protected_packages_delete and change.for_delete is not None:
            change = replace(change, for_delete=MinimumLevel(None))
        project_id = visit.project.id
        async with self.store.writing() as rows:
            await _lock(rows, project_id)
            rule = await rows.protection_rules.one(project_id, rule_id)
            if rule is None:
                raise RecordNotFound
            terms = change.applied_to(rule.terms)
            if terms == rule.terms:
                return _as_told(rule, visit)
            _check(terms)
            await _refuse_taken(rows, project_id, terms, own=rule_id)
            changed = await rows.protection_rules.change(project_id, rule_id, terms=terms)
            if changed is None:
                raise RecordNotFound
            await _audit(rows, "protection_rule.changed", caller, changed)
        return _as_told(changed, visit)


@dataclass(frozen=True, slots=True)
class DeleteProtectionRule:
    """Remove a rule of a project."""

    store: MetadataStore

    async def __call__(
        self, caller: SignedIn, visit: Visit, *, rule_id: ProtectionRuleId, unmodified_since: datetime | None
    ) -> None:
        """Remove it.

        Args:
            unmodified_since: the last instant at which the caller saw it as it is; None when the caller does not mind.

        Raises:
            RecordNotFound: the project has no such rule.
            PreconditionFailed: it was changed after that.
            NotFound: "Project": it was deleted meanwhile.
        """
        project_id = visit.project.id
        async with self.store.writing() as rows:
            await _lock(rows, project_id)
            rule = await rows.protection_rules.one(project_id, rule_id)
            if rule is None:
                raise RecordNotFound
            if unmodified_since is not None and rule.updated_at > unmodified_since:
                raise PreconditionFailed
            if not await rows.protection_rules.remove(project_id, rule_id):
                raise RecordNotFound
            await _audit(rows, "protection_rule.deleted", caller, rule)


def _as_told(rule: ProtectionRule, visit: Visit) -> ProtectionRule:
    """Return the rule without what does not count where nothing is protected against deletes."""
    if visit.settings.packages_protected_packages_delete:
        return rule
    return replace(rule, terms=rule.terms.without_delete())


def _check(terms: ProtectionTerms) -> None:
    problems = problems_of(terms)
    if problems:
        raise ProtectionRuleInvalid(*problems)


async def _lock(rows: Writing, project_id: ProjectId) -> None:
    if not await rows.protection_rules.lock(project_id):
        raise NotFound("Project")


async def _refuse_taken(
    rows: Writing, project_id: ProjectId, terms: ProtectionTerms, *, own: ProtectionRuleId | None = None
) -> None:
    other = await rows.protection_rules.named(
        project_id, package_type=terms.package_type, package_name_pattern=terms.package_name_pattern
    )
    if other is not None and other.id != own:
        raise ProtectionRuleInvalid("Package name pattern has already been taken")


async def _audit(rows: Writing, action: str, caller: SignedIn, rule: ProtectionRule) -> None:
    await rows.audit(
        AuditEvent(
            action=action,
            actor=actor_of(caller),
            target=f"protection_rule:{rule.id}",
            project_id=rule.project_id,
            token_id=caller.token_id,
            details={
                "package_name_pattern": rule.terms.package_name_pattern,
                "package_type": rule.terms.package_type,
                "minimum_access_level_for_push": rule.terms.minimum_access_level_for_push,
                "minimum_access_level_for_delete": rule.terms.minimum_access_level_for_delete,
            },
        )
    )
