"""What decides whether a name may be looked for upstream, in SQL."""

from sqlalchemy import select

from shared.metadata.package_tables import package_names
from shared.metadata.tenant_tables import namespace_ancestors, namespaces, projects
from shared.metadata.transaction import Transaction
from shared.models import ForwardingRule, Namespace, NamespaceId, ProjectId
from shared.names import NormalizedName


class SqlForwardingReads:
    """Implements ForwardingReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def rules(self, namespace: Namespace) -> tuple[ForwardingRule, ...]:
        rows = await self._transaction.rows(
            select(
                namespaces.c.pypi_package_requests_forwarding.label("is_on"),
                namespaces.c.lock_pypi_package_requests_forwarding.label("is_locked"),
            )
            .join_from(namespace_ancestors, namespaces, namespaces.c.id == namespace_ancestors.c.ancestor_id)
            .where(namespace_ancestors.c.namespace_id == namespace.id)
            .order_by(namespace_ancestors.c.distance.desc())
        )
        return tuple(ForwardingRule(**row._mapping) for row in rows)

    async def was_in_project(self, project_id: ProjectId, name: NormalizedName) -> bool:
        row = await self._transaction.row(
            select(package_names.c.project_id).where(
                package_names.c.project_id == project_id, package_names.c.normalized_name == name
            )
        )
        return row is not None

    async def was_below_group(self, group_id: NamespaceId, name: NormalizedName) -> bool:
        row = await self._transaction.row(
            select(package_names.c.project_id)
            .join_from(namespace_ancestors, projects, projects.c.namespace_id == namespace_ancestors.c.namespace_id)
            .join(package_names, package_names.c.project_id == projects.c.id)
            .where(namespace_ancestors.c.ancestor_id == group_id, package_names.c.normalized_name == name)
            .limit(1)
        )
        return row is not None
