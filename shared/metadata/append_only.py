"""Tables to which rows are added and nothing else: the databases themselves refuse to change or remove one."""

from collections.abc import Iterator


def append_only(table: str) -> Iterator[tuple[str, str]]:
    """Yield the statements that make a table so, and for which engine each is.

    A migration that copies the table on SQLite, as Alembic's batches do, has to say them again for the copy.
    """
    reason = f"{table} is append-only"
    for verb in ("UPDATE", "DELETE"):
        yield (
            (
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{reason}'); END"
            ),
            "sqlite",
        )
    yield (
        (
            f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{reason}'; END $$"
        ),
        "postgresql",
    )
    yield (
        (
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
        ),
        "postgresql",
    )
