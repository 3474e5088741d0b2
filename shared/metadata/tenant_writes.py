"""Changes of tenants in SQL."""

from datetime import datetime

from sqlalchemy import Table, insert, select

from shared.errors import RecordInvalid
from shared.metadata.tenant_reads import NAMESPACE_FIELDS, PROJECT_FIELDS, USER_COLUMNS, SqlTenantReads
from shared.metadata.tenant_tables import members, namespace_ancestors, namespaces, projects, users
from shared.models import (
    AccessLevel,
    CounterScope,
    Namespace,
    NamespaceKind,
    Project,
    RegistryAccess,
    User,
    UserId,
    UserState,
    Visibility,
)

_TAKEN = ("has already been taken",)


class SqlTenantWrites(SqlTenantReads):
    """Implements TenantWrites."""

    async def add_user(self, *, username: str, name: str, email: str, is_admin: bool, is_external: bool) -> User:
        await self._refuse_taken_user(username, email)
        async with self._transaction.savepoint():
            namespace = await self._insert_namespace(
                NamespaceKind.USER,
                None,
                name=name,
                path=username,
                full_path=username,
                description="",
                visibility=Visibility.PUBLIC,
            )
            if namespace is None:
                raise RecordInvalid({"username": _TAKEN})
            row = await self._transaction.row(
                self._transaction.insert(users)
                .values(
                    username=username,
                    username_key=username.lower(),
                    name=name,
                    email=email,
                    email_key=email.lower(),
                    state=UserState.ACTIVE,
                    is_admin=is_admin,
                    is_external=is_external,
                    namespace_id=namespace.id,
                    created_at=self._transaction.now(),
                )
                .on_conflict_do_nothing()
                .returning(*USER_COLUMNS)
            )
            if row is None:
                raise RecordInvalid({"email": _TAKEN})
        self._transaction.touch(CounterScope.NAMESPACE, namespace.id)
        self._transaction.touch(CounterScope.USER, row.id)
        return User(**row._asdict())

    async def add_group(
        self, *, parent: Namespace | None, name: str, path: str, description: str, visibility: Visibility
    ) -> Namespace:
        full_path = path
        if parent is not None:
            await self._lock_namespace(parent, "parent_id")
            full_path = f"{parent.full_path}/{path}"
        if await self._exists(projects, full_path):
            raise RecordInvalid({"path": _TAKEN})
        group = await self._insert_namespace(
            NamespaceKind.GROUP,
            parent,
            name=name,
            path=path,
            full_path=full_path,
            description=description,
            visibility=visibility,
        )
        if group is None:
            raise RecordInvalid({"path": _TAKEN})
        self._transaction.touch(CounterScope.NAMESPACE, group.top_level_id)
        return group

    async def add_project(
        self,
        *,
        namespace: Namespace,
        name: str,
        path: str,
        description: str,
        visibility: Visibility,
        registry_access: RegistryAccess,
        creator_id: UserId | None,
    ) -> Project:
        await self._lock_namespace(namespace, "namespace")
        full_path = f"{namespace.full_path}/{path}"
        await self._refuse_taken_project(namespace, name, full_path)
        row = await self._transaction.row(
            self._transaction.insert(projects)
            .values(
                namespace_id=namespace.id,
                name=name,
                path=path,
                full_path=full_path,
                full_path_key=full_path.lower(),
                description=description,
                visibility=visibility,
                registry_access=registry_access,
                job_token_scope_enabled=True,
                creator_id=creator_id,
                created_at=self._transaction.now(),
            )
            .on_conflict_do_nothing()
            .returning(*(projects.c[name] for name in PROJECT_FIELDS))
        )
        if row is None:
            raise RecordInvalid({"path": _TAKEN})
        self._transaction.touch(CounterScope.NAMESPACE, namespace.top_level_id)
        return Project(namespace=namespace, **row._asdict())

    async def add_namespace_member(
        self, namespace: Namespace, user_id: UserId, *, level: AccessLevel, expires_at: datetime | None
    ) -> None:
        await self._upsert_member("namespace_id", namespace.id, user_id, level, expires_at)
        self._transaction.touch(CounterScope.NAMESPACE, namespace.top_level_id)

    async def add_project_member(
        self, project: Project, user_id: UserId, *, level: AccessLevel, expires_at: datetime | None
    ) -> None:
        await self._upsert_member("project_id", project.id, user_id, level, expires_at)
        self._transaction.touch(CounterScope.NAMESPACE, project.namespace.top_level_id)

    async def _upsert_member(
        self, source: str, source_id: int, user_id: UserId, level: AccessLevel, expires_at: datetime | None
    ) -> None:
        await self._transaction.change(
            self._transaction.insert(members)
            .values(
                {
                    source: source_id,
                    "user_id": user_id,
                    "level": level,
                    "expires_at": expires_at,
                    "created_at": self._transaction.now(),
                }
            )
            .on_conflict_do_update(
                index_elements=[source, "user_id"],
                index_where=members.c[source].is_not(None),
                set_={"level": level, "expires_at": expires_at},
            )
        )

    async def _insert_namespace(
        self,
        kind: NamespaceKind,
        parent: Namespace | None,
        *,
        name: str,
        path: str,
        full_path: str,
        description: str,
        visibility: Visibility,
    ) -> Namespace | None:
        """Add the row and its ancestors; None when the path is taken by another namespace."""
        row = await self._transaction.row(
            self._transaction.insert(namespaces)
            .values(
                kind=kind,
                parent_id=parent.id if parent else None,
                name=name,
                path=path,
                full_path=full_path,
                full_path_key=full_path.lower(),
                description=description,
                visibility=visibility,
                lock_pypi_package_requests_forwarding=False,
                created_at=self._transaction.now(),
            )
            .on_conflict_do_nothing()
            .returning(*(namespaces.c[name] for name in NAMESPACE_FIELDS))
        )
        if row is None:
            return None
        namespace = Namespace(ancestor_ids=(*(parent.ancestor_ids if parent else ()), row.id), **row._asdict())
        await self._transaction.change(
            insert(namespace_ancestors).values(
                [
                    {"namespace_id": row.id, "ancestor_id": ancestor_id, "distance": distance}
                    for distance, ancestor_id in enumerate(reversed(namespace.ancestor_ids))
                ]
            )
        )
        return namespace

    async def _lock_namespace(self, namespace: Namespace, attribute: str) -> None:
        """Make whoever adds to the same namespace wait: groups and projects share its paths, but no unique index."""
        row = await self._transaction.row(
            select(namespaces.c.visibility)
            .where(namespaces.c.id == namespace.id, namespaces.c.doomed_at.is_(None))
            .with_for_update(key_share=True)
        )
        # Whoever chose a visibility for the new row did so by the namespace as it was read.
        if row is None or row.visibility is not namespace.visibility:
            raise RecordInvalid({attribute: ("is not valid",)})

    async def _refuse_taken_user(self, username: str, email: str) -> None:
        messages: dict[str, tuple[str, ...]] = {}
        if await self._transaction.row(select(users.c.id).where(users.c.email_key == email.lower())):
            messages["email"] = _TAKEN
        has_user = await self.user_by_username(username) is not None
        if has_user or await self._exists(namespaces, username):
            messages["username"] = _TAKEN
        if messages:
            raise RecordInvalid(messages)

    async def _refuse_taken_project(self, namespace: Namespace, name: str, full_path: str) -> None:
        messages: dict[str, tuple[str, ...]] = {}
        if await self._exists(projects, full_path) or await self._exists(namespaces, full_path):
            messages["path"] = _TAKEN
        same_name = select(projects.c.id).where(
            projects.c.namespace_id == namespace.id, projects.c.name == name, projects.c.doomed_at.is_(None)
        )
        if await self._transaction.row(same_name):
            messages |= {"project_namespace.name": _TAKEN, "name": _TAKEN}
        if messages:
            raise RecordInvalid(messages)

    async def _exists(self, table: Table, full_path: str) -> bool:
        statement = select(table.c.id).where(table.c.full_path_key == full_path.lower(), table.c.doomed_at.is_(None))
        return await self._transaction.row(statement) is not None
