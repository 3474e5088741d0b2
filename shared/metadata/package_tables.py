"""Tables of package names, packages, their files, and the pipelines that these came from."""

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    event,
)

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
from shared.metadata.types import Identifier
from shared.metadata.word_index import index_words
from shared.models import PackageFileStatus, PackageStatus
from shared.status_markers import NameStatus

UPLOADER_KINDS = ("user", "deploy_token", "job")

# A name of which a file was accepted is never removed: what was ours once is never looked for elsewhere.
package_names = Table(
    "package_names",
    metadata,
    reference("project_id", "projects.id"),
    text_column("normalized_name"),
    *word_column("status", NameStatus),
    text_column("status_reason", nullable=True),
    time_column("first_accepted_at", nullable=True),
    PrimaryKeyConstraint("project_id", "normalized_name"),
    Index("ix_package_names_of_name", "normalized_name", "project_id"),  # For groups of many projects.
)
for _statement in index_words("package_names", "normalized_name"):
    event.listen(package_names, "after_create", DDL(_statement).execute_if(dialect="postgresql"))  # type: ignore[no-untyped-call]  # SQLAlchemy says no more of it

packages = Table(
    "packages",
    metadata,
    id_column(),
    reference("project_id", "projects.id"),
    text_column("package_type"),
    one_of("package_type", ("pypi",)),
    text_column("name"),
    text_column("normalized_name"),
    text_column("version"),
    text_column("canonical_version"),
    *word_column("status", PackageStatus),
    text_column("status_message", nullable=True),
    time_column("yanked_at", nullable=True),
    text_column("yanked_reason", nullable=True),
    reference("creator_id", "users.id", nullable=True),
    time_column("created_at"),
    time_column("updated_at"),
    time_column("last_downloaded_at", nullable=True),
    time_column("doomed_at", nullable=True),
    CheckConstraint("status <> 'pending_destruction' OR doomed_at IS NOT NULL", name="doomed_since"),
    partial_index(
        "uq_packages_identity",
        "project_id",
        "package_type",
        "normalized_name",
        "canonical_version",
        where="status <> 'pending_destruction'",
        unique=True,
    ),
    Index("ix_packages_name", "project_id", "package_type", "normalized_name", "id"),
    Index("ix_packages_of_name", "normalized_name", "project_id"),  # For groups of many projects, as the next.
    Index("ix_packages_created_at", "created_at", "id"),
    # One for each order that a list can have: a page is read off it, and what does not match is passed over in it.
    Index("ix_packages_by_created_at", "project_id", "created_at", "id", "status", "name"),
    Index("ix_packages_by_name", "project_id", "name", "id", "status"),
    Index("ix_packages_by_version", "project_id", "version", "id", "status", "name"),
    partial_index("ix_packages_doomed", "id", where="status = 'pending_destruction'"),
    partial_index("ix_packages_unusual", "status", where="status <> 'default'"),  # See `totals.py`.
    sqlite_autoincrement=True,
)

package_files = Table(
    "package_files",
    metadata,
    id_column(),
    reference("package_id", "packages.id"),
    reference("project_id", "projects.id"),
    text_column("blob_key"),
    text_column("file_name"),
    Column("size_bytes", BigInteger, nullable=False),
    text_column("md5", nullable=True),
    text_column("sha1", nullable=True),
    text_column("sha256"),
    text_column("blake2b_256", nullable=True),
    text_column("requires_python", nullable=True),
    *word_column("status", PackageFileStatus),
    text_column("status_message", nullable=True),
    Column("attempt", Integer, nullable=False),
    time_column("leased_until", nullable=True),
    time_column("yanked_at", nullable=True),
    text_column("yanked_reason", nullable=True),
    text_column("uploader_kind"),
    one_of("uploader_kind", UPLOADER_KINDS),
    Column("uploader_id", Identifier, nullable=False),
    Column("token_id", Identifier),
    time_column("created_at"),
    time_column("verified_at", nullable=True),
    time_column("promised_at", nullable=True),  # When a second uploader of the same bytes was told that they are safe.
    time_column("doomed_at", nullable=True),
    time_column("scrub_held_until", nullable=True),  # Until when no other scrub looks at it.
    CheckConstraint("status <> 'pending_destruction' OR doomed_at IS NOT NULL", name="doomed_since"),
    CheckConstraint("status = 'processing' OR leased_until IS NULL", name="leased_while_processing"),
    UniqueConstraint("blob_key"),
    partial_index(
        "uq_package_files_file_name",
        "package_id",
        "file_name",
        where="status IN ('default', 'processing')",
        unique=True,
    ),
    Index("ix_package_files_package_id", "package_id", "id"),
    Index("ix_package_files_sha256", "sha256", "file_name", "project_id"),
    partial_index(
        "ix_package_files_unleased", "created_at", "id", where="status = 'processing' AND leased_until IS NULL"
    ),
    partial_index(
        "ix_package_files_leased", "created_at", "id", where="status = 'processing' AND leased_until IS NOT NULL"
    ),
    partial_index("ix_package_files_doomed", "doomed_at", "id", where="status = 'pending_destruction'"),
    partial_index("ix_package_files_scrub", "verified_at", "id", where="status = 'default'"),
    partial_index("ix_package_files_unusual", "status", where="status <> 'default'"),
    sqlite_autoincrement=True,
)

# What the files of a project hold together, but for those in `pending_destruction`: see `storage.py`.
project_storage = Table(
    "project_storage",
    metadata,
    reference("project_id", "projects.id"),
    Column("bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("project_id"),
)

# Apart from the files, because it is large and few look at it. JSON rather than JSONB: the form stays as it was sent,
# in its order and with characters that JSONB refuses.
package_file_metadata = Table(
    "package_file_metadata",
    metadata,
    reference("file_id", "package_files.id"),
    Column("core_metadata", LargeBinary),
    text_column("core_metadata_sha256", nullable=True),
    Column("form", JSON, nullable=False),
    Column("attestations", LargeBinary),
    CheckConstraint("(core_metadata IS NULL) = (core_metadata_sha256 IS NULL)", name="core_metadata_digest"),
    PrimaryKeyConstraint("file_id"),
)

# One link for a package and a pipeline, and one for each of its files that the pipeline uploaded.
build_links = Table(
    "build_links",
    metadata,
    id_column(),
    reference("package_id", "packages.id"),
    reference("package_file_id", "package_files.id", nullable=True),
    reference("pipeline_id", "pipelines.id"),
    time_column("created_at"),
    partial_index(
        "uq_build_links_package_id", "package_id", "pipeline_id", where="package_file_id IS NULL", unique=True
    ),
    partial_index(
        "uq_build_links_package_file_id",
        "package_file_id",
        "pipeline_id",
        where="package_file_id IS NOT NULL",
        unique=True,
    ),
    Index(None, "package_id", "id"),
    sqlite_autoincrement=True,
)
