"""Tables of access tokens, of the pipelines that job tokens speak for, and of the rules about both."""

from sqlalchemy import JSON, CheckConstraint, Column, Index, Table, UniqueConstraint
from sqlalchemy.sql.elements import conv

from shared.metadata.schema import (
    id_column,
    metadata,
    one_of,
    partial_index,
    reference,
    text_column,
    time_column,
    word_column,
)
from shared.metadata.types import EnumText, Identifier
from shared.principals import TokenKind
from shared.protection import ProtectedPackageType, ProtectionLevel

pipelines = Table(
    "pipelines",
    metadata,
    id_column(),
    reference("project_id", "projects.id"),
    Column("number", Identifier, nullable=False),  # The id that the CI system gave it.
    Column("iid", Identifier),
    text_column("ref", nullable=True),
    text_column("sha", nullable=True),
    text_column("source", nullable=True),
    text_column("status", nullable=True),
    text_column("web_url", nullable=True),
    reference("user_id", "users.id", nullable=True),
    time_column("created_at"),
    time_column("updated_at"),
    UniqueConstraint("project_id", "number"),
    sqlite_autoincrement=True,
)

# A personal token belongs to a user; a deploy token to a project or a group; a job token to a user, a project and a
# pipeline. `creator_id` is who made it.
access_tokens = Table(
    "access_tokens",
    metadata,
    id_column(),
    *word_column("kind", TokenKind),
    text_column("digest"),
    text_column("name"),
    text_column("description", nullable=True),
    text_column("username", nullable=True),
    reference("user_id", "users.id", nullable=True),
    reference("project_id", "projects.id", nullable=True),
    reference("namespace_id", "namespaces.id", nullable=True),
    reference("pipeline_id", "pipelines.id", nullable=True),
    reference("creator_id", "users.id", nullable=True),
    Column("scopes", JSON, nullable=False),
    time_column("expires_at", nullable=True),
    time_column("revoked_at", nullable=True),
    time_column("last_used_at", nullable=True),
    time_column("created_at"),
    CheckConstraint("kind <> 'personal' OR user_id IS NOT NULL", name="personal_has_user"),
    CheckConstraint("project_id IS NULL OR namespace_id IS NULL", name="of_one_source"),
    UniqueConstraint("digest"),
    Index(None, "user_id", "id"),
    Index(None, "project_id", "id"),
    Index(None, "namespace_id", "id"),
    sqlite_autoincrement=True,
)

# Whose job tokens may reach a project: those of other projects, or of all projects below a group.
job_token_allowlist = Table(
    "job_token_allowlist",
    metadata,
    id_column(),
    reference("project_id", "projects.id"),
    reference("allowed_project_id", "projects.id", nullable=True),
    reference("allowed_namespace_id", "namespaces.id", nullable=True),
    reference("creator_id", "users.id", nullable=True),
    time_column("created_at"),
    CheckConstraint("(allowed_project_id IS NULL) <> (allowed_namespace_id IS NULL)", name="allows_one"),
    partial_index(
        "uq_job_token_allowlist_allowed_project_id",
        "project_id",
        "allowed_project_id",
        where="allowed_project_id IS NOT NULL",
        unique=True,
    ),
    partial_index(
        "uq_job_token_allowlist_allowed_namespace_id",
        "project_id",
        "allowed_namespace_id",
        where="allowed_namespace_id IS NOT NULL",
        unique=True,
    ),
    sqlite_autoincrement=True,
)

protection_rules = Table(
    "protection_rules",
    metadata,
    id_column(),
    reference("project_id", "projects.id"),
    *word_column("package_type", ProtectedPackageType),
    text_column("package_name_pattern"),
    Column("minimum_access_level_for_push", EnumText(ProtectionLevel)),
    one_of("minimum_access_level_for_push", ProtectionLevel),
    Column("minimum_access_level_for_delete", EnumText(ProtectionLevel)),
    one_of("minimum_access_level_for_delete", ProtectionLevel),
    time_column("created_at"),
    time_column("updated_at"),
    UniqueConstraint(
        "project_id",
        "package_type",
        "package_name_pattern",
        name=conv("uq_protection_rules_project_id_package_type_package_nam_faa1"),  # 63 characters are the most.
    ),
    sqlite_autoincrement=True,
)
