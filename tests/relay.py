"""A TCP relay for tests: it stands before a server, and may choose one for each connection, or fall silent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 64 * 1024

Target = tuple[str, int] | Path
"""A host with its port, or a unix socket."""


class Relay:
    """Passes bytes both ways, ends included; it neither reads nor repeats what it passes.

    Args:
        choose: names the server for a new connection; None where there is none.
    """

    def __init__(self, choose: Callable[[], Target | None]) -> None:
        self._choose = choose
        self._lets_pass = asyncio.Event()
        self._lets_pass.set()
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0

    def fall_silent(self) -> None:
        """Take connections and bytes from now on, and pass nothing: as a network does that drops all packets."""
        self._lets_pass.clear()

    def speak_again(self) -> None:
        """Pass what came meanwhile, and all else."""
        self._lets_pass.set()

    @asynccontextmanager
    async def listening(self, *, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator["Relay"]:
        """Take connections until the block ends; then all of them are cut."""
        server = await asyncio.start_server(self._begin, "127.0.0.1", port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            if self._serving:
                await asyncio.wait(self._serving)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._lets_pass.wait()
            target = self._choose()
            if target is not None:
                with suppress(OSError):
                    await self._relay(reader, writer, *await _connect(target))
        finally:
            writer.transport.abort()

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        requests: asyncio.StreamWriter,
    ) -> None:
        pumps = {_task(self._pump(reader, requests)), _task(self._pump(answers, writer))}
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            if not any(pump.exception() for pump in done):
                # Both sides have ended in order: what was written to them is sent before that.
                for end in (writer, requests):
                    end.close()
                    await end.wait_closed()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            requests.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while chunk := await source.read(_CHUNK_BYTES):
            await self._lets_pass.wait()
            target.write(chunk)
            await target.drain()
        await self._lets_pass.wait()
        if target.can_write_eof():
            target.write_eof()
        else:
            target.close()  # TLS knows no half of a connection.


def _task(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(coroutine)


async def _connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(target, Path):
        return await asyncio.open_unix_connection(target)
    return await asyncio.open_connection(*target)
