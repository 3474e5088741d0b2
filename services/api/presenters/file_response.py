"""Send a file, or the part of it that the client wants.

What to send is decided first, from the headers alone; then it is sent: by the kernel where the bytes are a file on this
machine. aiohttp's FileResponse cannot be used: its entity tag changes with the file's time, it knows no entity tag in
If-Range, and pip and uv resume and read ahead on the strength of both.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from aiohttp import hdrs, web

from services.api.body import LEAST_BYTES_PER_SECOND
from services.api.conditions import Headers, http_date, is_known, precondition_fails, range_is_wanted, strong_etag
from services.api.keys import SETTINGS
from services.api.ranges import Part, Unsatisfiable, Whole, parse_range
from services.api.sending import watch_sending
from shared.errors import BlobMissing

_WINDOW_BYTES = 4 * 1024 * 1024
_WINDOW_SECONDS = _WINDOW_BYTES / LEAST_BYTES_PER_SECOND
"""No client that makes progress takes longer for one window."""

Source = Path | bytes | Callable[[int, int], AsyncGenerator[bytes, None]]
"""Where bytes come from: a file on this machine, memory, or whatever yields them by offset and length."""


@dataclass(frozen=True, slots=True)
class Representation:
    """Bytes, and what is said of them.

    Args:
        modified_at: when they were uploaded; None where nobody knows.
        headers: what else stands in every answer with bytes.
    """

    sha256: str
    size_bytes: int
    modified_at: datetime | None
    cache_control: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """The head of the answer, and which bytes follow it.

    Args:
        length: 0 when none follow.
    """

    status: int
    headers: dict[str, str]
    offset: int = 0
    length: int = 0


def plan_response(method: str, headers: Headers, representation: Representation) -> Plan:
    """Decide what a GET or HEAD is answered with.

    Source: RFC 9110 section 13.2.2, the order of preconditions; section 14.2, ranges count for GET only.
    """
    etag, modified_at = strong_etag(representation.sha256), representation.modified_at
    size = representation.size_bytes
    validators: dict[str, str] = {hdrs.ETAG: etag, hdrs.CACHE_CONTROL: representation.cache_control}
    if modified_at is not None:
        validators[hdrs.LAST_MODIFIED] = http_date(modified_at)
    if precondition_fails(headers, etag=etag, modified_at=modified_at):
        return Plan(412, {hdrs.CONTENT_LENGTH: "0"})
    if is_known(headers, etag=etag, modified_at=modified_at):
        return Plan(304, validators)
    told: dict[str, str] = {**representation.headers, **validators, hdrs.ACCEPT_RANGES: "bytes"}
    wanted = parse_range(headers.get(hdrs.RANGE), size) if method == hdrs.METH_GET else Whole()
    if not range_is_wanted(headers, etag=etag, modified_at=modified_at):
        wanted = Whole()
    match wanted:
        case Whole():
            return Plan(200, told | {hdrs.CONTENT_LENGTH: str(size)}, 0, size if method == hdrs.METH_GET else 0)
        case Part(offset=offset, length=length):
            content_range = f"bytes {offset}-{offset + length - 1}/{size}"
            told |= {hdrs.CONTENT_LENGTH: str(length), hdrs.CONTENT_RANGE: content_range}
            return Plan(206, told, offset, length)
        case Unsatisfiable():
            return Plan(416, {hdrs.CONTENT_RANGE: f"bytes */{size}", hdrs.CONTENT_LENGTH: "0"})


async def send(request: web.Request, plan: Plan, source: Source) -> web.StreamResponse:
    """Send what the plan says, and return when it is sent.

    Args:
        source: where the bytes come from.

    Raises:
        BlobMissing: the bytes are gone, or fewer than they must be; whether anything was sent, HAS_BEGUN tells.
        ConnectionError: the client went away, or takes nothing any more.
    """
    match source:
        case _ if plan.length == 0:
            response = await _begin(request, plan)
        case Path():
            response = await _send_path(request, plan, source)
        case bytes():
            # Head and body go out at once.
            return web.Response(
                status=plan.status, headers=plan.headers, body=source[plan.offset : plan.offset + plan.length]
            )
        case _:
            response = await _send_stream(request, plan, source(plan.offset, plan.length))
    await response.write_eof()
    return response


async def _begin(request: web.Request, plan: Plan) -> web.StreamResponse:
    response = web.StreamResponse(status=plan.status, headers=plan.headers)
    await response.prepare(request)
    return response


async def _send_path(request: web.Request, plan: Plan, path: Path) -> web.StreamResponse:
    end = plan.offset + plan.length
    with await asyncio.to_thread(_open, path, end) as file:
        response = await _begin(request, plan)
        loop = asyncio.get_running_loop()
        for offset in range(plan.offset, end, _WINDOW_BYTES):
            transport = request.transport
            if transport is None or transport.is_closing():
                raise ConnectionResetError("the client went away")
            count = min(_WINDOW_BYTES, end - offset)
            async with _patience(request, transport):
                if await loop.sendfile(transport, file, offset, count) < count:
                    raise BlobMissing(path.name)  # It was cut short meanwhile, and so is the answer.
    return response


def _open(path: Path, least_bytes: int) -> BinaryIO:
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise BlobMissing(path.name) from error
    if os.fstat(file.fileno()).st_size < least_bytes:
        file.close()
        raise BlobMissing(path.name)
    return file


async def _send_stream(request: web.Request, plan: Plan, chunks: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    remaining = plan.length
    async with aclosing(chunks):
        # The first chunk comes before the head: while nothing is sent, a missing blob can still be told.
        chunk = await anext(chunks, b"")
        response = await _begin(request, plan)
        while chunk:
            await response.write(chunk)
            remaining -= len(chunk)
            chunk = await anext(chunks, b"")
    if remaining:
        raise BlobMissing("the stream ended early")
    return response


@asynccontextmanager
async def _patience(request: web.Request, transport: asyncio.Transport) -> AsyncIterator[None]:
    """Give the block as long as the client makes progress.

    While the kernel sends a file, the connection itself does not see what becomes of it, as it does of all else.
    """
    now = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(_WINDOW_SECONDS) as limit:
            with watch_sending(
                transport,
                stall_seconds=request.app[SETTINGS].limits.stall_seconds,
                on_stall=lambda: limit.reschedule(now()),
            ):
                yield
    except TimeoutError:
        raise ConnectionResetError("the client takes nothing any more") from None
