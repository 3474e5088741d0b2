"""CI jobs in SQL: where they are let in."""

from sqlalchemy import or_, select

from shared.metadata.access_tables import job_token_allowlist
from shared.metadata.transaction import Transaction
from shared.models import Project, ProjectId


class SqlJobTokenReads:
    """Implements JobTokenReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def is_allowed(self, source: Project, *, into: ProjectId) -> bool:
        row = await self._transaction.row(
            select(job_token_allowlist.c.id).where(
                job_token_allowlist.c.project_id == into,
                or_(
                    job_token_allowlist.c.allowed_project_id == source.id,
                    job_token_allowlist.c.allowed_namespace_id.in_(source.namespace.ancestor_ids),
                ),
            )
        )
        return row is not None


class SqlJobTokenWrites(SqlJobTokenReads):
    """Implements JobTokenWrites."""
