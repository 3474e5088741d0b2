"""A way into one API process that costs next to nothing, for the reads of those who look for stale answers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.wire import Connection, request_head
from tests.doors import Door, SessionDoor
from tests.e2e.pinned_sessions import pinned_sessions, process_behind

_MOST_TRIES = 2_000


@dataclass(frozen=True, slots=True)
class WireDoor:
    """Reads through connections that all lead to one process.

    Args:
        free: the connections that nobody is using.
        writes: the way of all that is not read.
    """

    url: str
    free: asyncio.Queue[Connection]
    writes: Door

    async def ask(
        self, method: str, path: str, *, token: str | None, data: Any = None, **headers: str
    ) -> tuple[int, bytes]:
        """Send one request; return status and body."""
        if method != "GET":
            return await self.writes.ask(method, path, token=token, data=data, **headers)
        sent = {} if token is None else {"Authorization": aiohttp.encode_basic_auth("anybody", token)}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = await self.free.get()
        try:
            told = await connection.ask(request_head(method, f"{self.url}{path}", sent))
        finally:
            self.free.put_nowait(connection)
        return told.status, told.body


@asynccontextmanager
async def wire_doors(url: str, pids: Sequence[int], *, each: int) -> AsyncIterator[list[Door]]:
    """Open a door into each process, of so many connections, until the block ends."""
    async with pinned_sessions(url, pids, each=each) as sessions:
        doors = {pid: WireDoor(url, asyncio.Queue(), SessionDoor.of(url, *sessions[pid])) for pid in pids}
        tries: list[Connection] = []
        while any(door.free.qsize() < each for door in doors.values()):
            assert len(tries) < _MOST_TRIES, "one of the processes takes no connections"
            tries.append(Connection(url, is_pinned=True))
            await tries[-1].ask(request_head("GET", f"{url}/-/liveness", {}))
            door = doors[process_behind(tries[-1].socket, url, pids)]
            if door.free.qsize() < each:
                door.free.put_nowait(tries[-1])
        try:
            yield list(doors.values())
        finally:
            for connection in tries:
                await connection.close()
