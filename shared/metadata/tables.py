"""All tables: those of the instance as a whole, and, through the imports, those of tenants, access and packages.

Whoever needs `metadata` complete (migrations, tests) takes it from here.
"""

from sqlalchemy import DDL, JSON, BigInteger, Column, Index, PrimaryKeyConstraint, Table, event

from shared.metadata import access_tables, package_tables, tenant_tables
from shared.metadata.append_only import append_only
from shared.metadata.schema import id_column, metadata, text_column, time_column, word_column
from shared.metadata.types import Identifier
from shared.models import CounterScope

# Bumped in the very transaction of each change, so a reader that sees the same numbers may use what it derived before.
change_counters = Table(
    "change_counters",
    metadata,
    *word_column("scope", CounterScope),
    Column("id", BigInteger, nullable=False),  # 0 for the instance.
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("scope", "id"),
)

# Without foreign keys: an event outlives what it tells of.
audit_events = Table(
    "audit_events",
    metadata,
    id_column(),
    time_column("created_at"),
    text_column("action"),
    text_column("actor"),
    text_column("target"),
    Column("project_id", Identifier),
    Column("namespace_id", Identifier),
    Column("token_id", Identifier),
    Column("details", JSON(none_as_null=True)),
    # In the order of the lists, whatever span of time they are for.
    Index("ix_audit_events_by_time", "created_at", "id"),
    Index("ix_audit_events_of_project", "project_id", "created_at", "id"),
    Index("ix_audit_events_of_namespace", "namespace_id", "created_at", "id"),
    sqlite_autoincrement=True,
)
for _statement, _dialect in append_only("audit_events"):
    _refusal = DDL(_statement)  # type: ignore[no-untyped-call]  # SQLAlchemy says no more of it
    event.listen(audit_events, "after_create", _refusal.execute_if(dialect=_dialect))

instance_settings = Table(
    "instance_settings",
    metadata,
    text_column("name"),
    Column("value", JSON, nullable=False),
    time_column("updated_at"),
    PrimaryKeyConstraint("name"),
)

# While one of these is in force, no blob is removed: a backup copies what its snapshot names.
destruction_holds = Table(
    "destruction_holds",
    metadata,
    id_column(),
    text_column("holder"),
    time_column("placed_at"),
    time_column("expires_at"),
    sqlite_autoincrement=True,
)

__all__ = [
    "access_tables",
    "audit_events",
    "change_counters",
    "destruction_holds",
    "instance_settings",
    "metadata",
    "package_tables",
    "tenant_tables",
]
