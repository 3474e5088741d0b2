"""Indexes that registries of a million packages need, and on PostgreSQL one for words within names."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_IS_UNUSUAL = "status <> 'default'"
_INDEXES = (
    ("ix_packages_unusual", "packages", ["status"], _IS_UNUSUAL),
    ("ix_package_files_unusual", "package_files", ["status"], _IS_UNUSUAL),
    ("ix_packages_of_name", "packages", ["normalized_name", "project_id"], None),
    ("ix_packages_created_at", "packages", ["created_at", "id"], None),
    ("ix_package_names_of_name", "package_names", ["normalized_name", "project_id"], None),
    ("ix_projects_doomed", "projects", ["id"], "doomed_at IS NOT NULL"),
    ("ix_package_files_sha256", "package_files", ["sha256", "file_name", "project_id"], None),
)
_REPLACED = "ix_package_files_digest"
_TRIGRAMS = (
    "CREATE OR REPLACE FUNCTION trigrams_of(word text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS"
    " $$ SELECT coalesce(array_agg(DISTINCT substr(word, at, 3)), '{}')"
    " FROM generate_series(1, length(word) - 2) at $$"
)


def _on_postgresql(create_index: str) -> list[str]:
    made = [
        _TRIGRAMS,
        f"{create_index} ix_package_names_trigrams ON package_names USING gin (trigrams_of(normalized_name))",
    ]
    for name, table, columns, where in _INDEXES:
        only = f" WHERE {where}" if where else ""
        made.append(f"{create_index} {name} ON {table} ({', '.join(columns)}){only}")
    return made


AHEAD_ON_POSTGRESQL = [
    *_on_postgresql("CREATE INDEX CONCURRENTLY IF NOT EXISTS"),
    f"DROP INDEX CONCURRENTLY IF EXISTS {_REPLACED}",  # Else all would wait behind whoever has read the table.
]
"""What is built before the transaction, beside those who write: see `shared.metadata.migrate`."""


def upgrade() -> None:
    """Add them, but for those that were built ahead; what one of them takes the place of goes."""
    if op.get_bind().dialect.name == "postgresql":
        for statement in _on_postgresql("CREATE INDEX IF NOT EXISTS"):
            op.execute(statement)
    else:
        for name, table, columns, where in _INDEXES:
            op.create_index(op.f(name), table, columns, sqlite_where=sa.text(where) if where else None)
    op.drop_index(op.f(_REPLACED), table_name="package_files", if_exists=True)
