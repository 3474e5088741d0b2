"""A count of the bytes that the files of each project hold: to add them up for each upload would take ever longer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table, and count what is there."""
    op.create_table(
        "project_storage",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_project_storage_project_id")),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_project_storage")),
    )
    op.execute(
        "INSERT INTO project_storage (project_id, bytes) SELECT project_id, SUM(size_bytes) FROM package_files "
        "WHERE status <> 'pending_destruction' GROUP BY project_id"
    )
