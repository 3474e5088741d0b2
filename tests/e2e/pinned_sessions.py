"""HTTP sessions each of which keeps to one of the processes that share a listening socket."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from socket import socket as Socket  # noqa: N812 - its name is a parameter's elsewhere
from typing import Any
from urllib.parse import urlsplit

import aiohttp

_PATIENCE = aiohttp.ClientTimeout(total=60)
_MOST_TRIES = 2_000


@asynccontextmanager
async def pinned_sessions(
    url: str, pids: Iterable[int], *, each: int
) -> AsyncIterator[dict[int, list[aiohttp.ClientSession]]]:
    """Open so many sessions to each process, of one connection each, which has to last until the block ends."""
    found: dict[int, list[aiohttp.ClientSession]] = {pid: [] for pid in pids}
    made: list[Socket] = []

    def make(address: tuple[Any, ...]) -> Socket:
        family, kind, protocol = address[:3]
        made.append(Socket(family, kind, protocol))
        made[-1].setblocking(False)
        return made[-1]

    async with AsyncExitStack() as stack:
        while any(len(sessions) < each for sessions in found.values()):
            assert len(made) < _MOST_TRIES, "one of the processes takes no connections"
            connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=600, socket_factory=make)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=_PATIENCE))
            async with session.get(f"{url}/-/liveness") as response:
                await response.read()
            pid = process_behind(made[-1], url, found)
            if len(found[pid]) < each:
                found[pid].append(session)
        made.clear()
        yield found
        assert made == [], "a connection was lost, and what came instead may lead to another process"


def process_behind(connected: Socket, url: str, pids: Iterable[int]) -> int:
    """Return which of the processes has the other end of a connection."""
    inode = _inode(server_port=urlsplit(url).port or 80, client_port=connected.getsockname()[1])
    return next(pid for pid in pids if inode in _sockets(pid))


def _inode(*, server_port: int, client_port: int) -> str:
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        ports = [int(address.rpartition(":")[2], 16) for address in fields[1:3]]
        if ports == [server_port, client_port]:
            return fields[9]
    raise LookupError("the server's end of the connection is not listed")


def _sockets(pid: int) -> set[str]:
    found = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(str(handle.readlink()).removeprefix("socket:[").rstrip("]"))
    return found
