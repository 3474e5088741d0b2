"""The first schema: everything that the registry holds, though not all of it is filled yet.

The types are written out here and not taken from the tables, which go on changing after this script has run somewhere.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TIME = sa.Text().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    """Make all tables in an empty database."""
    _create_tenant_tables()
    _create_access_tables()
    _create_package_tables()
    _create_instance_tables()


def _create_tenant_tables() -> None:
    op.create_table(
        "namespaces",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("parent_id", _ID),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("path", _TEXT, nullable=False),
        sa.Column("full_path", _TEXT, nullable=False),
        sa.Column("full_path_key", _TEXT, nullable=False),
        sa.Column("description", _TEXT, nullable=False),
        sa.Column("visibility", _TEXT, nullable=False),
        sa.Column("pypi_package_requests_forwarding", sa.Boolean()),
        sa.Column("lock_pypi_package_requests_forwarding", sa.Boolean(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("doomed_at", _TIME),
        sa.CheckConstraint("kind = 'group' OR parent_id IS NULL", name=op.f("ck_namespaces_personal_is_top_level")),
        sa.CheckConstraint("kind IN ('group', 'user')", name=op.f("ck_namespaces_kind")),
        sa.CheckConstraint("visibility IN ('private', 'internal', 'public')", name=op.f("ck_namespaces_visibility")),
        sa.ForeignKeyConstraint(["parent_id"], ["namespaces.id"], name=op.f("fk_namespaces_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_namespaces")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_namespaces_parent_id"), "namespaces", ["parent_id"])
    op.create_index(
        "uq_namespaces_full_path_key", "namespaces", ["full_path_key"], unique=True, **_where("doomed_at IS NULL")
    )
    op.create_table(
        "namespace_ancestors",
        sa.Column("namespace_id", _ID, nullable=False),
        sa.Column("ancestor_id", _ID, nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["ancestor_id"], ["namespaces.id"], name=op.f("fk_namespace_ancestors_ancestor_id")),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name=op.f("fk_namespace_ancestors_namespace_id")),
        sa.PrimaryKeyConstraint("namespace_id", "ancestor_id", name=op.f("pk_namespace_ancestors")),
    )
    op.create_index(
        op.f("ix_namespace_ancestors_ancestor_id_namespace_id"), "namespace_ancestors", ["ancestor_id", "namespace_id"]
    )
    op.create_table(
        "users",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("username", _TEXT, nullable=False),
        sa.Column("username_key", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("email", _TEXT, nullable=False),
        sa.Column("email_key", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("is_external", sa.Boolean(), nullable=False),
        sa.Column("namespace_id", _ID, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.CheckConstraint("state IN ('active', 'blocked')", name=op.f("ck_users_state")),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name=op.f("fk_users_namespace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email_key", name=op.f("uq_users_email_key")),
        sa.UniqueConstraint("namespace_id", name=op.f("uq_users_namespace_id")),
        sa.UniqueConstraint("username_key", name=op.f("uq_users_username_key")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "projects",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("namespace_id", _ID, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("path", _TEXT, nullable=False),
        sa.Column("full_path", _TEXT, nullable=False),
        sa.Column("full_path_key", _TEXT, nullable=False),
        sa.Column("description", _TEXT, nullable=False),
        sa.Column("visibility", _TEXT, nullable=False),
        sa.Column("registry_access", _TEXT, nullable=False),
        sa.Column("job_token_scope_enabled", sa.Boolean(), nullable=False),
        sa.Column("creator_id", _ID),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("doomed_at", _TIME),
        sa.CheckConstraint(
            "registry_access IN ('disabled', 'private', 'enabled', 'public')", name=op.f("ck_projects_registry_access")
        ),
        sa.CheckConstraint("visibility IN ('private', 'internal', 'public')", name=op.f("ck_projects_visibility")),
        sa.ForeignKeyConstraint(["creator_id"], ["users.id"], name=op.f("fk_projects_creator_id")),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name=op.f("fk_projects_namespace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_projects_namespace_id_id"), "projects", ["namespace_id", "id"])
    op.create_index(
        "uq_projects_full_path_key", "projects", ["full_path_key"], unique=True, **_where("doomed_at IS NULL")
    )
    op.create_index(
        "uq_projects_namespace_id_name",
        "projects",
        ["namespace_id", "name"],
        unique=True,
        **_where("doomed_at IS NULL"),
    )
    op.create_table(
        "members",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("namespace_id", _ID),
        sa.Column("project_id", _ID),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("creator_id", _ID),
        sa.CheckConstraint("(namespace_id IS NULL) <> (project_id IS NULL)", name=op.f("ck_members_of_one_source")),
        sa.CheckConstraint("level IN (0, 5, 10, 15, 20, 30, 40, 50)", name=op.f("ck_members_level")),
        sa.ForeignKeyConstraint(["creator_id"], ["users.id"], name=op.f("fk_members_creator_id")),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name=op.f("fk_members_namespace_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_members_project_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_members_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_members")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_members_user_id"), "members", ["user_id"])
    op.create_index(
        "uq_members_namespace_id_user_id",
        "members",
        ["namespace_id", "user_id"],
        unique=True,
        **_where("namespace_id IS NOT NULL"),
    )
    op.create_index(
        "uq_members_project_id_user_id",
        "members",
        ["project_id", "user_id"],
        unique=True,
        **_where("project_id IS NOT NULL"),
    )


def _create_access_tables() -> None:
    op.create_table(
        "pipelines",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("number", _ID, nullable=False),
        sa.Column("iid", _ID),
        sa.Column("ref", _TEXT),
        sa.Column("sha", _TEXT),
        sa.Column("source", _TEXT),
        sa.Column("status", _TEXT),
        sa.Column("web_url", _TEXT),
        sa.Column("user_id", _ID),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_pipelines_project_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_pipelines_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipelines")),
        sa.UniqueConstraint("project_id", "number", name=op.f("uq_pipelines_project_id_number")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "access_tokens",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("description", _TEXT),
        sa.Column("username", _TEXT),
        sa.Column("user_id", _ID),
        sa.Column("project_id", _ID),
        sa.Column("namespace_id", _ID),
        sa.Column("pipeline_id", _ID),
        sa.Column("creator_id", _ID),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.Column("last_used_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.CheckConstraint(
            "kind <> 'personal' OR user_id IS NOT NULL", name=op.f("ck_access_tokens_personal_has_user")
        ),
        sa.CheckConstraint("kind IN ('personal', 'deploy', 'job')", name=op.f("ck_access_tokens_kind")),
        sa.CheckConstraint("project_id IS NULL OR namespace_id IS NULL", name=op.f("ck_access_tokens_of_one_source")),
        sa.ForeignKeyConstraint(["creator_id"], ["users.id"], name=op.f("fk_access_tokens_creator_id")),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name=op.f("fk_access_tokens_namespace_id")),
        sa.ForeignKeyConstraint(["pipeline_id"], ["pipelines.id"], name=op.f("fk_access_tokens_pipeline_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_access_tokens_project_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_access_tokens_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_access_tokens_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_access_tokens_namespace_id_id"), "access_tokens", ["namespace_id", "id"])
    op.create_index(op.f("ix_access_tokens_project_id_id"), "access_tokens", ["project_id", "id"])
    op.create_index(op.f("ix_access_tokens_user_id_id"), "access_tokens", ["user_id", "id"])
    op.create_table(
        "job_token_allowlist",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("allowed_project_id", _ID),
        sa.Column("allowed_namespace_id", _ID),
        sa.Column("creator_id", _ID),
        sa.Column("created_at", _TIME, nullable=False),
        sa.CheckConstraint(
            "(allowed_project_id IS NULL) <> (allowed_namespace_id IS NULL)",
            name=op.f("ck_job_token_allowlist_allows_one"),
        ),
        sa.ForeignKeyConstraint(
            ["allowed_namespace_id"], ["namespaces.id"], name=op.f("fk_job_token_allowlist_allowed_namespace_id")
        ),
        sa.ForeignKeyConstraint(
            ["allowed_project_id"], ["projects.id"], name=op.f("fk_job_token_allowlist_allowed_project_id")
        ),
        sa.ForeignKeyConstraint(["creator_id"], ["users.id"], name=op.f("fk_job_token_allowlist_creator_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_job_token_allowlist_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_token_allowlist")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_job_token_allowlist_allowed_namespace_id",
        "job_token_allowlist",
        ["project_id", "allowed_namespace_id"],
        unique=True,
        **_where("allowed_namespace_id IS NOT NULL"),
    )
    op.create_index(
        "uq_job_token_allowlist_allowed_project_id",
        "job_token_allowlist",
        ["project_id", "allowed_project_id"],
        unique=True,
        **_where("allowed_project_id IS NOT NULL"),
    )
    op.create_table(
        "protection_rules",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("package_type", _TEXT, nullable=False),
        sa.Column("package_name_pattern", _TEXT, nullable=False),
        sa.Column("minimum_access_level_for_push", _TEXT),
        sa.Column("minimum_access_level_for_delete", _TEXT),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.CheckConstraint(
            "minimum_access_level_for_delete IN ('maintainer', 'owner', 'admin')",
            name=op.f("ck_protection_rules_minimum_access_level_for_delete"),
        ),
        sa.CheckConstraint(
            "minimum_access_level_for_push IN ('maintainer', 'owner', 'admin')",
            name=op.f("ck_protection_rules_minimum_access_level_for_push"),
        ),
        sa.CheckConstraint(
            "package_type IN "
            "('cargo', 'conan', 'generic', 'helm', 'maven', 'npm', 'nuget', 'pypi', 'terraform_module')",
            name=op.f("ck_protection_rules_package_type"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_protection_rules_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_protection_rules")),
        sa.UniqueConstraint(
            "project_id",
            "package_type",
            "package_name_pattern",
            # PostgreSQL takes 63 characters. This is what SQLAlchemy made of 64 by MD5, which a FIPS machine has not.
            name=op.f("uq_protection_rules_project_id_package_type_package_nam_faa1"),
        ),
        sqlite_autoincrement=True,
    )


def _create_package_tables() -> None:
    op.create_table(
        "package_names",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("normalized_name", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("status_reason", _TEXT),
        sa.Column("first_accepted_at", _TIME),
        sa.CheckConstraint(
            "status IN ('active', 'archived', 'deprecated', 'quarantined')", name=op.f("ck_package_names_status")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_package_names_project_id")),
        sa.PrimaryKeyConstraint("project_id", "normalized_name", name=op.f("pk_package_names")),
    )
    op.create_table(
        "packages",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("package_type", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("normalized_name", _TEXT, nullable=False),
        sa.Column("version", _TEXT, nullable=False),
        sa.Column("canonical_version", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("status_message", _TEXT),
        sa.Column("yanked_at", _TIME),
        sa.Column("yanked_reason", _TEXT),
        sa.Column("creator_id", _ID),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("last_downloaded_at", _TIME),
        sa.Column("doomed_at", _TIME),
        sa.CheckConstraint("package_type IN ('pypi')", name=op.f("ck_packages_package_type")),
        sa.CheckConstraint(
            "status <> 'pending_destruction' OR doomed_at IS NOT NULL", name=op.f("ck_packages_doomed_since")
        ),
        sa.CheckConstraint(
            "status IN ('default', 'hidden', 'processing', 'error', 'pending_destruction', 'deprecated')",
            name=op.f("ck_packages_status"),
        ),
        sa.ForeignKeyConstraint(["creator_id"], ["users.id"], name=op.f("fk_packages_creator_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_packages_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packages")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_packages_doomed", "packages", ["id"], unique=False, **_where("status = 'pending_destruction'"))
    op.create_index("ix_packages_name", "packages", ["project_id", "package_type", "normalized_name", "id"])
    op.create_index(
        "uq_packages_identity",
        "packages",
        ["project_id", "package_type", "normalized_name", "canonical_version"],
        unique=True,
        **_where("status <> 'pending_destruction'"),
    )
    op.create_table(
        "package_files",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("package_id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("blob_key", _TEXT, nullable=False),
        sa.Column("file_name", _TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("md5", _TEXT),
        sa.Column("sha1", _TEXT),
        sa.Column("sha256", _TEXT, nullable=False),
        sa.Column("blake2b_256", _TEXT),
        sa.Column("requires_python", _TEXT),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("status_message", _TEXT),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("leased_until", _TIME),
        sa.Column("yanked_at", _TIME),
        sa.Column("yanked_reason", _TEXT),
        sa.Column("uploader_kind", _TEXT, nullable=False),
        sa.Column("uploader_id", _ID, nullable=False),
        sa.Column("token_id", _ID),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("verified_at", _TIME),
        sa.Column("promised_at", _TIME),
        sa.Column("doomed_at", _TIME),
        sa.CheckConstraint(
            "status <> 'pending_destruction' OR doomed_at IS NOT NULL", name=op.f("ck_package_files_doomed_since")
        ),
        sa.CheckConstraint(
            "status = 'processing' OR leased_until IS NULL", name=op.f("ck_package_files_leased_while_processing")
        ),
        sa.CheckConstraint(
            "status IN ('default', 'processing', 'error', 'pending_destruction')", name=op.f("ck_package_files_status")
        ),
        sa.CheckConstraint(
            "uploader_kind IN ('user', 'deploy_token', 'job')", name=op.f("ck_package_files_uploader_kind")
        ),
        sa.ForeignKeyConstraint(["package_id"], ["packages.id"], name=op.f("fk_package_files_package_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_package_files_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_package_files")),
        sa.UniqueConstraint("blob_key", name=op.f("uq_package_files_blob_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_package_files_digest", "package_files", ["project_id", "sha256", "file_name"])
    op.create_index(
        "ix_package_files_doomed",
        "package_files",
        ["doomed_at", "id"],
        unique=False,
        **_where("status = 'pending_destruction'"),
    )
    op.create_index(
        "ix_package_files_leased",
        "package_files",
        ["created_at", "id"],
        unique=False,
        **_where("status = 'processing' AND leased_until IS NOT NULL"),
    )
    op.create_index("ix_package_files_package_id", "package_files", ["package_id", "id"])
    op.create_index(
        "ix_package_files_unleased",
        "package_files",
        ["created_at", "id"],
        unique=False,
        **_where("status = 'processing' AND leased_until IS NULL"),
    )
    op.create_index(
        "uq_package_files_file_name",
        "package_files",
        ["package_id", "file_name"],
        unique=True,
        **_where("status IN ('default', 'processing')"),
    )
    op.create_table(
        "package_file_metadata",
        sa.Column("file_id", _ID, nullable=False),
        sa.Column("core_metadata", sa.LargeBinary()),
        sa.Column("core_metadata_sha256", _TEXT),
        sa.Column("form", sa.JSON(), nullable=False),
        sa.Column("attestations", sa.LargeBinary()),
        sa.CheckConstraint(
            "(core_metadata IS NULL) = (core_metadata_sha256 IS NULL)",
            name=op.f("ck_package_file_metadata_core_metadata_digest"),
        ),
        sa.ForeignKeyConstraint(["file_id"], ["package_files.id"], name=op.f("fk_package_file_metadata_file_id")),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_package_file_metadata")),
    )
    op.create_table(
        "build_links",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("package_id", _ID, nullable=False),
        sa.Column("package_file_id", _ID),
        sa.Column("pipeline_id", _ID, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["package_file_id"], ["package_files.id"], name=op.f("fk_build_links_package_file_id")),
        sa.ForeignKeyConstraint(["package_id"], ["packages.id"], name=op.f("fk_build_links_package_id")),
        sa.ForeignKeyConstraint(["pipeline_id"], ["pipelines.id"], name=op.f("fk_build_links_pipeline_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_build_links")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_build_links_package_id_id"), "build_links", ["package_id", "id"])
    op.create_index(
        "uq_build_links_package_file_id",
        "build_links",
        ["package_file_id", "pipeline_id"],
        unique=True,
        **_where("package_file_id IS NOT NULL"),
    )
    op.create_index(
        "uq_build_links_package_id",
        "build_links",
        ["package_id", "pipeline_id"],
        unique=True,
        **_where("package_file_id IS NULL"),
    )


def _create_instance_tables() -> None:
    op.create_table(
        "change_counters",
        sa.Column("scope", _TEXT, nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "scope IN ('instance', 'namespace', 'project', 'user')", name=op.f("ck_change_counters_scope")
        ),
        sa.PrimaryKeyConstraint("scope", "id", name=op.f("pk_change_counters")),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("action", _TEXT, nullable=False),
        sa.Column("actor", _TEXT, nullable=False),
        sa.Column("target", _TEXT, nullable=False),
        sa.Column("project_id", _ID),
        sa.Column("namespace_id", _ID),
        sa.Column("token_id", _ID),
        sa.Column("details", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_events_namespace_id_id"), "audit_events", ["namespace_id", "id"])
    op.create_index(op.f("ix_audit_events_project_id_id"), "audit_events", ["project_id", "id"])
    op.create_table(
        "instance_settings",
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_instance_settings")),
    )


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
