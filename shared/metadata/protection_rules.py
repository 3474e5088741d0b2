"""Package protection rules in SQL."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, delete, func, select, update

from shared.metadata.access_tables import protection_rules
from shared.metadata.rows import columns_of
from shared.metadata.tenant_tables import projects
from shared.metadata.transaction import Transaction
from shared.models import CounterScope, ProjectId
from shared.protection import ProtectedPackageType, ProtectionRule, ProtectionRuleId, ProtectionTerms

_COLUMNS = (
    protection_rules.c.id,
    protection_rules.c.project_id,
    protection_rules.c.created_at,
    protection_rules.c.updated_at,
    *columns_of(protection_rules, ProtectionTerms),
)

_OF_PROJECT = (
    select(*_COLUMNS).where(protection_rules.c.project_id == bindparam("of_project")).order_by(protection_rules.c.id)
)
_PROJECT = select(projects.c.id).where(projects.c.id == bindparam("wanted"), projects.c.doomed_at.is_(None))
_PROJECT_LOCKED = _PROJECT.with_for_update(key_share=True)
_PROJECT_SHARED = _PROJECT.with_for_update(read=True)


class SqlProtectionRuleReads:
    """Implements ProtectionRuleReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def of_project(self, project_id: ProjectId) -> tuple[ProtectionRule, ...]:
        rows = await self._transaction.rows(_OF_PROJECT, {"of_project": project_id})
        return tuple(_rule(row) for row in rows)

    async def one(self, project_id: ProjectId, rule_id: ProtectionRuleId) -> ProtectionRule | None:
        row = await self._transaction.row(select(*_COLUMNS).where(*_is_it(project_id, rule_id)))
        return _rule(row) if row else None

    async def named(
        self, project_id: ProjectId, *, package_type: ProtectedPackageType, package_name_pattern: str
    ) -> ProtectionRule | None:
        row = await self._transaction.row(
            select(*_COLUMNS).where(
                protection_rules.c.project_id == project_id,
                protection_rules.c.package_type == package_type,
                protection_rules.c.package_name_pattern == package_name_pattern,
            )
        )
        return _rule(row) if row else None

    async def count(self, project_id: ProjectId) -> int:
        row = await self._transaction.row(
            select(func.count().label("rules")).where(protection_rules.c.project_id == project_id)
        )
        return int(row.rules) if row else 0


class SqlProtectionRuleWrites(SqlProtectionRuleReads):
    """Implements ProtectionRuleWrites."""

    async def lock(self, project_id: ProjectId) -> bool:
        return await self._transaction.row(_PROJECT_LOCKED, {"wanted": project_id}) is not None

    async def hold(self, project_id: ProjectId) -> bool:
        # Shared, so that uploads to one project do not wait for each other.
        return await self._transaction.row(_PROJECT_SHARED, {"wanted": project_id}) is not None

    async def add(self, project_id: ProjectId, terms: ProtectionTerms) -> ProtectionRule:
        now = self._transaction.now()
        rows = await self._transaction.rows(
            self._transaction.insert(protection_rules)
            .values(project_id=project_id, created_at=now, updated_at=now, **asdict(terms))
            .returning(*_COLUMNS)
        )
        self._transaction.touch(CounterScope.PROJECT, project_id)
        return _rule(rows[0])

    async def change(
        self, project_id: ProjectId, rule_id: ProtectionRuleId, *, terms: ProtectionTerms
    ) -> ProtectionRule | None:
        row = await self._transaction.row(
            update(protection_rules)
            .where(*_is_it(project_id, rule_id))
            .values(updated_at=self._transaction.now(), **asdict(terms))
            .returning(*_COLUMNS)
        )
        if row is None:
            return None
        self._transaction.touch(CounterScope.PROJECT, project_id)
        return _rule(row)

    async def remove(self, project_id: ProjectId, rule_id: ProtectionRuleId) -> bool:
        if not await self._transaction.change(delete(protection_rules).where(*_is_it(project_id, rule_id))):
            return False
        self._transaction.touch(CounterScope.PROJECT, project_id)
        return True


def _is_it(project_id: ProjectId, rule_id: ProtectionRuleId) -> tuple[ColumnElement[bool], ...]:
    return protection_rules.c.id == rule_id, protection_rules.c.project_id == project_id


def _rule(row: Row[Any]) -> ProtectionRule:
    found = row._asdict()
    own = {name: found.pop(name) for name in ("id", "project_id", "created_at", "updated_at")}
    return ProtectionRule(**own, terms=ProtectionTerms(**found))
