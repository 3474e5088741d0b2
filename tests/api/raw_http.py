"""HTTP written by hand, for what no client library would send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.api.registry import ROOT_TOKEN, Registry

BOUNDARY = "boundary-of-the-tests"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(slots=True)
class RawConnection:
    """A connection on which a test reads and writes bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heads: list[bytes] = field(default_factory=list)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Read one answer and return its status and body."""
        async with asyncio.timeout(60):
            head = await self.reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            status = int(head.split(b" ", 2)[1])
            length = next(
                (
                    int(line.partition(b":")[2])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            return status, await self.reader.readexactly(length)


@asynccontextmanager
async def connected(registry: Registry, *, local_address: str = "127.0.0.1") -> AsyncIterator[RawConnection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", registry.port, local_addr=(local_address, 0))
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(registry: Registry, request: bytes) -> tuple[int, bytes]:
    """Send bytes on a connection of their own and return the answer's status and body."""
    async with connected(registry) as connection:
        await connection.send(request)
        return await connection.answer()


def head(method: str, target: str, *, token: str | None = ROOT_TOKEN, **headers: str) -> bytes:
    """Return a request's head."""
    lines = [f"{method} {target} HTTP/1.1", "Host: registry.test"]
    if token is not None:
        lines.append(f"PRIVATE-TOKEN: {token}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def part(name: str, value: bytes, *, file_name: str | None = None, headers: str = "") -> bytes:
    """Return one part of a form with its delimiter."""
    told = "" if file_name is None else f'; filename="{file_name}"'
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{told}\r\n{headers}\r\n'
    return start.encode() + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def upload_target(registry: Registry) -> str:
    return registry.pypi.removeprefix(registry.url)


async def post_form(
    registry: Registry, body: bytes, *, content_type: str = FORM_TYPE, **headers: str
) -> tuple[int, bytes]:
    """Post a body to the upload route as the administrator."""
    sent = head(
        "POST",
        upload_target(registry),
        Content_Type=content_type,
        Content_Length=str(len(body)),
        **headers,
    )
    return await exchange(registry, sent + body)
