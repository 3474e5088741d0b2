"""A client that costs next to nothing, so that the server is what is measured: requests are bytes made beforehand."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Told:
    """An answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request_head(method: str, url: str, headers: Mapping[str, str]) -> bytes:
    """Return a request up to its body."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


class Connection:
    """A connection for one request at a time; it is made anew when the server has closed it.

    Args:
        is_pinned: it leads to a process of its own and must not be made anew.
    """

    def __init__(self, url: str, *, is_pinned: bool = False) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._is_pinned = is_pinned
        self._is_new = True
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Told:
        """Send a request and return the whole answer.

        Raises:
            OSError, asyncio.IncompleteReadError: The server closed the connection instead.
        """
        if self._streams is None:
            if self._is_pinned and not self._is_new:
                raise ConnectionResetError(*self._address)
            self._is_new = False
            self._streams = await asyncio.open_connection(*self._address, limit=_LIMIT)
        reader, writer = self._streams
        try:
            writer.write(request)
            told, goes_on = await _read(reader)
        except BaseException:
            await self.close()
            raise
        if not goes_on:
            await self.close()
        return told

    @property
    def socket(self) -> socket.socket:
        """Return its socket, once it was used."""
        assert self._streams is not None
        # What asyncio gives out stands in for the socket and knows its addresses, which is what is asked of it.
        return cast("socket.socket", self._streams[1].get_extra_info("socket"))

    async def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> tuple[Told, bool]:
    """Return the answer, and whether the connection may be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    version, status = first.split(" ", 2)[:2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    goes_on = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if status in ("204", "304"):
        body = b""
    elif headers.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body, goes_on = await reader.read(-1), False
    return Told(int(status), headers, body), goes_on


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunks.append((await reader.readexactly(size + 2))[:-2])
    await reader.readuntil(b"\r\n")
    return b"".join(chunks)
