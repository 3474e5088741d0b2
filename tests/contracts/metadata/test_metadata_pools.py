"""What a store tells of its connections."""

import asyncio
from contextlib import AsyncExitStack

from shared.metadata.store import SqlMetadataStore
from shared.ports.metadata_store import PoolUse
from tests.waiting import eventually


def _pool(store: SqlMetadataStore, name: str) -> PoolUse:
    """Return one of the pools: on PostgreSQL there is one for all."""
    pools = {pool.name: pool for pool in store.pools()}
    return pools.get("server", pools.get(name)) or next(iter(pools.values()))


async def test_connections_in_use_idle_and_waited_for_are_counted(store: SqlMetadataStore) -> None:
    limit = _pool(store, "readers").limit
    assert (_pool(store, "readers").in_use, _pool(store, "readers").idle) == (0, 0)

    async with AsyncExitStack() as stack:
        for _ in range(limit):
            await stack.enter_async_context(store.reading())
        assert _pool(store, "readers").in_use == limit
        late = asyncio.create_task(_read(store))
        await eventually(lambda: _somebody_waits(store, "readers"), what="one waits", timeout_seconds=30)
        assert _pool(store, "readers").waiting == 1
    await late
    cancelled = asyncio.create_task(_read(store))
    cancelled.cancel()
    await asyncio.wait({cancelled})

    after = _pool(store, "readers")
    assert (after.in_use, after.idle, after.waiting) == (0, limit, 0)


async def test_a_writer_is_counted(store: SqlMetadataStore) -> None:
    async with store.writing():
        assert _pool(store, "writer").in_use == 1
        assert _pool(store, "writer").idle == 0
    after = _pool(store, "writer")
    assert (after.in_use, after.idle) == (0, 1)


async def _read(store: SqlMetadataStore) -> None:
    async with store.reading():
        pass


async def _somebody_waits(store: SqlMetadataStore, name: str) -> bool:
    return _pool(store, name).waiting > 0
