"""The part of the metadata port that is about users, groups, projects and members."""

from datetime import datetime
from typing import Protocol

from shared.models import (
    AccessLevel,
    Namespace,
    NamespaceId,
    Project,
    ProjectId,
    RegistryAccess,
    User,
    UserId,
    Visibility,
)


class TenantReads(Protocol):
    """Look up tenants."""

    async def project(self, project_id: ProjectId) -> Project | None:
        """Return the project of this id, or None."""
        ...

    async def project_by_path(self, full_path: str) -> Project | None:
        """Return the project of this full path (case-insensitive), or None."""
        ...

    async def namespace(self, namespace_id: NamespaceId) -> Namespace | None:
        """Return the group or personal namespace of this id, or None."""
        ...

    async def namespace_by_path(self, full_path: str) -> Namespace | None:
        """Return the group or personal namespace of this full path (case-insensitive), or None."""
        ...

    async def user(self, user_id: UserId) -> User | None:
        """Return the user of this id, or None."""
        ...

    async def user_by_username(self, username: str) -> User | None:
        """Return the user of this name (case-insensitive), or None."""
        ...

    async def level_in_project(self, user_id: UserId, project: Project, *, now: datetime) -> AccessLevel:
        """Return the highest level that the user has in the project, directly or through its namespaces.

        The owner of a personal namespace is OWNER of its projects. Memberships past their expiry count for nothing.
        NO_ACCESS when there is none.
        """
        ...

    async def level_in_namespace(self, user_id: UserId, namespace: Namespace, *, now: datetime) -> AccessLevel:
        """Return the highest level that the user has in the namespace, directly or through its ancestors."""
        ...


class TenantWrites(TenantReads, Protocol):
    """Change tenants."""

    async def add_user(self, *, username: str, name: str, email: str, is_admin: bool, is_external: bool) -> User:
        """Add a user and its personal namespace, whose path is the username.

        Raises:
            RecordInvalid: `username` or `email` has already been taken (by a user, or as a path by a group).
        """
        ...

    async def add_group(
        self, *, parent: Namespace | None, name: str, path: str, description: str, visibility: Visibility
    ) -> Namespace:
        """Add a group.

        Raises:
            RecordInvalid: `path` has already been taken (by a group, a project or a personal namespace).
        """
        ...

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
        """Add a project.

        Raises:
            RecordInvalid: `path` has already been taken (by a project, or a group, in that namespace); or `name` has.
        """
        ...

    async def add_namespace_member(
        self, namespace: Namespace, user_id: UserId, *, level: AccessLevel, expires_at: datetime | None
    ) -> None:
        """Make the user a direct member of the group, or change the level that it has there."""
        ...

    async def add_project_member(
        self, project: Project, user_id: UserId, *, level: AccessLevel, expires_at: datetime | None
    ) -> None:
        """Make the user a direct member of the project, or change the level that it has there."""
        ...
