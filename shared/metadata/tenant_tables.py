"""Tables of groups, personal namespaces, users, projects and members.

Namespaces and projects that were deleted stay as rows with `doomed_at`: their ids, and the package names below them,
are never given away again, while their paths are free at once.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from shared.metadata.schema import (
    id_column,
    level_column,
    metadata,
    partial_index,
    reference,
    text_column,
    time_column,
    word_column,
)
from shared.models import AccessLevel, NamespaceKind, RegistryAccess, UserState, Visibility

namespaces = Table(
    "namespaces",
    metadata,
    id_column(),
    *word_column("kind", NamespaceKind),
    reference("parent_id", "namespaces.id", nullable=True),
    text_column("name"),
    text_column("path"),
    text_column("full_path"),
    text_column("full_path_key"),  # Lower-cased by Python, so that both engines agree about every letter.
    text_column("description"),
    *word_column("visibility", Visibility),
    Column("pypi_package_requests_forwarding", Boolean),  # NULL: as the parent has it.
    Column("lock_pypi_package_requests_forwarding", Boolean, nullable=False),
    time_column("created_at"),
    time_column("doomed_at", nullable=True),
    CheckConstraint("kind = 'group' OR parent_id IS NULL", name="personal_is_top_level"),
    Index(None, "parent_id"),
    partial_index("uq_namespaces_full_path_key", "full_path_key", where="doomed_at IS NULL", unique=True),
    sqlite_autoincrement=True,
)

# Every namespace with itself (distance 0) and all that it lies in: what is below a group, and the highest level among
# the ancestors of many projects, are one query each.
namespace_ancestors = Table(
    "namespace_ancestors",
    metadata,
    reference("namespace_id", "namespaces.id"),
    reference("ancestor_id", "namespaces.id"),
    Column("distance", Integer, nullable=False),
    PrimaryKeyConstraint("namespace_id", "ancestor_id"),
    Index(None, "ancestor_id", "namespace_id"),
)

users = Table(
    "users",
    metadata,
    id_column(),
    text_column("username"),
    text_column("username_key"),
    text_column("name"),
    text_column("email"),
    text_column("email_key"),
    *word_column("state", UserState),
    Column("is_admin", Boolean, nullable=False),
    Column("is_external", Boolean, nullable=False),
    reference("namespace_id", "namespaces.id"),
    time_column("created_at"),
    UniqueConstraint("username_key"),
    UniqueConstraint("email_key"),
    UniqueConstraint("namespace_id"),
    sqlite_autoincrement=True,
)

projects = Table(
    "projects",
    metadata,
    id_column(),
    reference("namespace_id", "namespaces.id"),
    text_column("name"),
    text_column("path"),
    text_column("full_path"),
    text_column("full_path_key"),
    text_column("description"),
    *word_column("visibility", Visibility),
    *word_column("registry_access", RegistryAccess),
    Column("job_token_scope_enabled", Boolean, nullable=False),
    reference("creator_id", "users.id", nullable=True),
    time_column("created_at"),
    time_column("doomed_at", nullable=True),
    partial_index("uq_projects_full_path_key", "full_path_key", where="doomed_at IS NULL", unique=True),
    partial_index("uq_projects_namespace_id_name", "namespace_id", "name", where="doomed_at IS NULL", unique=True),
    Index(None, "namespace_id", "id"),
    partial_index("ix_projects_doomed", "id", where="doomed_at IS NOT NULL"),  # For the sweep.
    sqlite_autoincrement=True,
)

members = Table(
    "members",
    metadata,
    id_column(),
    reference("namespace_id", "namespaces.id", nullable=True),
    reference("project_id", "projects.id", nullable=True),
    reference("user_id", "users.id"),
    *level_column("level", AccessLevel),
    time_column("expires_at", nullable=True),
    time_column("created_at"),
    reference("creator_id", "users.id", nullable=True),
    CheckConstraint("(namespace_id IS NULL) <> (project_id IS NULL)", name="of_one_source"),
    partial_index(
        "uq_members_namespace_id_user_id", "namespace_id", "user_id", where="namespace_id IS NOT NULL", unique=True
    ),
    partial_index(
        "uq_members_project_id_user_id", "project_id", "user_id", where="project_id IS NOT NULL", unique=True
    ),
    Index(None, "user_id"),
    sqlite_autoincrement=True,
)
