"""The audit: indexes for its lists, and a database that refuses to change or remove an event."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_audit_events_by_time": ["created_at", "id"],
    "ix_audit_events_of_project": ["project_id", "created_at", "id"],
    "ix_audit_events_of_namespace": ["namespace_id", "created_at", "id"],
}
_REPLACED = ("ix_audit_events_namespace_id_id", "ix_audit_events_project_id_id")
_REFUSALS = {
    "sqlite": (
        (
            "CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events"
            " BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END"
        ),
        (
            "CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events"
            " BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END"
        ),
    ),
    "postgresql": (
        (
            "CREATE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'audit_events is append-only'; END $$"
        ),
        (
            "CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse()"
        ),
    ),
}


def upgrade() -> None:
    """Put one index for each list in the place of two without the time, and keep what is written."""
    for name in _REPLACED:
        op.drop_index(op.f(name), table_name="audit_events")
    for name, columns in _INDEXES.items():
        op.create_index(op.f(name), "audit_events", columns)
    for statement in _REFUSALS[op.get_bind().dialect.name]:
        op.execute(statement)
