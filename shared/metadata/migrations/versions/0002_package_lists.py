"""Indexes for the lists of packages: without them, each page of a project would read and sort all its packages."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_packages_by_created_at": ["project_id", "created_at", "id", "status", "name"],
    "ix_packages_by_name": ["project_id", "name", "id", "status"],
    "ix_packages_by_version": ["project_id", "version", "id", "status", "name"],
}


def upgrade() -> None:
    """Add one index for each order that a list of packages can have."""
    for name, columns in _INDEXES.items():
        op.create_index(op.f(name), "packages", columns)
