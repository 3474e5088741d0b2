"""Alembic's entry: runs the scripts on the connection that `shared.metadata.migrate` hands in, in its transaction."""

from alembic import context

from shared.metadata.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite cannot alter most things: such a table is copied.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
