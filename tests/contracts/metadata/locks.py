"""Who waits for a lock in PostgreSQL: seen there, so that no test has to wait for a while to see that somebody does."""

from sqlalchemy import text

from shared.metadata.store import SqlMetadataStore
from tests.waiting import eventually

_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


async def until_somebody_waits(store: SqlMetadataStore) -> None:
    """Return when a transaction on the store's database waits for another."""

    async def is_waited() -> bool:
        async with store.reading() as rows:
            found = await rows._transaction.rows(_WAITING)
        return bool(found[0][0])

    await eventually(is_waited, what="somebody waits for a lock", timeout_seconds=60)
