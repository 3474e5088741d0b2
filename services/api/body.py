"""Take a request's body off the wire: only when it is wanted, never without a limit of time."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from services.api.keys import ADMIT, SETTINGS
from services.api.problems import BodyTooLarge, ExpectationFailed
from shared.errors import InvalidForm, UploadStalled

LEAST_BYTES_PER_SECOND = 1024
"""What counts as progress, in either direction: so much on average over the stall limit. A byte a minute is none."""
LINGERING_SECONDS = 60.0
"""How long a body that nobody wants is still read, so that a client which sends it whole before it looks for an answer
gets to see the refusal and not a broken connection."""
LINGERING_IDLE_SECONDS = 5.0
"""How long such a client may send nothing: it may have seen the answer, and be waiting for the connection to end."""
MAX_PARAMETERS_BYTES = 1024 * 1024
"""How large a body that is no upload may be."""
MAX_PARAMETERS_SECONDS = 60.0
"""How long such a body may take to arrive."""

_BROKEN_OFF = (web.RequestPayloadError, OSError, RuntimeError)
"""aiohttp tells a lost connection by any of these, depending on who notices first."""


async def hold_continue(request: web.Request) -> None:
    """Answer nothing yet to `Expect: 100-continue`: whether the body is wanted turns out later.

    This stands in for aiohttp's own handler, which invites the body before anybody has looked at the request.
    """


def check_expectation(request: web.Request) -> None:
    """Refuse expectations that nobody here can meet.

    Raises:
        ExpectationFailed: `Expect` is there and is not `100-continue`.
    """
    expected = request.headers.get(hdrs.EXPECT)
    if expected is not None and expected.lower() != "100-continue":
        raise ExpectationFailed


def has_unread_body(request: web.Request) -> bool:
    """Say whether the client still sends, or waits to send, something that nobody will look at."""
    return request.body_exists and not request.content.is_eof()


async def read_chunks(request: web.Request, *, max_seconds: float) -> AsyncIterator[bytes]:
    """Invite the body if the client waits for that, and yield it in the chunks in which it arrives.

    Args:
        max_seconds: how long it may take in all, the time that the consumer takes included.

    Raises:
        UploadStalled: too little came within the stall limit, or it took too long.
        InvalidForm: the body is broken off, or its transfer coding is malformed.
    """
    await _invite(request)
    clock = asyncio.get_running_loop().time
    deadline = clock() + max_seconds
    stall_seconds = request.app[SETTINGS].limits.stall_seconds
    awaited_bytes, patience_seconds = stall_seconds * LEAST_BYTES_PER_SECOND, stall_seconds
    while True:
        asked_at = clock()
        if asked_at >= deadline:
            raise UploadStalled  # However much of it is here already.
        try:
            async with asyncio.timeout(min(patience_seconds, deadline - asked_at)):
                chunk = await request.content.readany()
        except TimeoutError:
            raise UploadStalled from None
        except _BROKEN_OFF as error:
            raise InvalidForm("the body is broken off or malformed") from error
        if not chunk:
            return
        # Only what the client takes counts against it, not what becomes of the chunk here.
        patience_seconds -= clock() - asked_at
        awaited_bytes -= len(chunk)
        if awaited_bytes <= 0:
            awaited_bytes, patience_seconds = stall_seconds * LEAST_BYTES_PER_SECOND, stall_seconds
        yield chunk


async def read_small(request: web.Request) -> bytes:
    """Return a body that is not an upload, whole.

    Raises:
        BodyTooLarge: it is over 1 MiB. What `read_chunks` raises.
    """
    if (request.content_length or 0) > MAX_PARAMETERS_BYTES:
        raise BodyTooLarge
    body = bytearray()
    async for chunk in read_chunks(request, max_seconds=MAX_PARAMETERS_SECONDS):
        body += chunk
        if len(body) > MAX_PARAMETERS_BYTES:
            raise BodyTooLarge
    return bytes(body)


async def admit_again(request: web.Request) -> None:
    """Ask the route's guard once more, to be called when the body has come: that can take hours.

    Whoever was let in may have lost the right meanwhile, and shall not do with a revoked token what makes another. What
    the guard noted of the caller is noted anew. A guard that reads the body itself looks at the caller after that.

    Raises:
        What the guard raises.
    """
    admit = request.get(ADMIT)
    if admit is not None:
        await admit(request)


async def discard_rest(request: web.Request) -> None:
    """Read what the client still sends and throw it away, bounded; to be called once the answer is sent.

    aiohttp would do so too, but for a client that has gone it waits for as long as for one that sends. What this did
    not read to its end, it must not wait for again.
    """
    try:
        async with asyncio.timeout(LINGERING_SECONDS):
            chunk = b"-"
            while chunk:
                async with asyncio.timeout(LINGERING_IDLE_SECONDS):
                    chunk = await request.content.readany()
    except (TimeoutError, *_BROKEN_OFF):
        request.protocol.force_close()


async def _invite(request: web.Request) -> None:
    if hdrs.EXPECT not in request.headers or request.version < HttpVersion11:
        return
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The answer itself has not begun by this; aiohttp's own handler does the same.
    request.writer.output_size = 0
