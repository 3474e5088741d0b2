"""A line to the registry that breaks in the middle of a large answer, and holds when it is tried again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class CuttingProxy:
    """Passes bytes both ways.

    Args:
        port: where the registry listens.
        cut_after_bytes: of one connection's answers; then it is cut.
        cuts: how many times that happened.
        cuts_wanted: after so many, nothing is cut any more.
    """

    port: int
    cut_after_bytes: int
    cuts_wanted: int
    cuts: int = 0
    url: str = ""
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection in a task of its own."""
        task = asyncio.create_task(self.pass_on(reader, writer))
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it, or it is cut."""
        answers, requests = await asyncio.open_connection("127.0.0.1", self.port)
        pumps = {asyncio.create_task(_pump(reader, requests)), asyncio.create_task(self._answer(answers, writer))}
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            for end in (writer, requests):
                end.close()
                with suppress(ConnectionError):
                    await end.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES):
                passed += len(chunk)
                writer.write(chunk)
                await writer.drain()
                if passed > self.cut_after_bytes and self.cuts < self.cuts_wanted:
                    self.cuts += 1
                    return


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def cutting_proxy(url: str, *, cut_after_bytes: int, cuts_wanted: int) -> AsyncIterator[CuttingProxy]:
    """Listen in front of the registry at this URL until the block ends."""
    proxy = CuttingProxy(int(url.rpartition(":")[2]), cut_after_bytes, cuts_wanted)
    async with listening(proxy):
        yield proxy


@asynccontextmanager
async def listening(proxy: CuttingProxy) -> AsyncIterator[None]:
    """Let the proxy take connections until the block ends."""
    server = await asyncio.start_server(proxy.begin, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield
    if connections := set(proxy.connections):
        for connection in connections:
            connection.cancel()
        await asyncio.wait(connections)
