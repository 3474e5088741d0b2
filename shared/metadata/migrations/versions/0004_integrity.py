"""What a scrub and a backup need: who looks at which file until when, which is due next, and holds on destruction."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TIME = sa.Text().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    """Add a column and an index for the scrub, and the table of holds."""
    op.add_column("package_files", sa.Column("scrub_held_until", _TIME))
    is_default = sa.text("status = 'default'")
    op.create_index(
        op.f("ix_package_files_scrub"),
        "package_files",
        ["verified_at", "id"],
        sqlite_where=is_default,
        postgresql_where=is_default,
    )
    op.create_table(
        "destruction_holds",
        sa.Column("id", _ID, sa.Identity(always=True), nullable=False),
        sa.Column("holder", _TEXT, nullable=False),
        sa.Column("placed_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destruction_holds")),
        sqlite_autoincrement=True,
    )
