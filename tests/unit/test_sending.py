"""Whether a client takes what is sent to it, asked of real sockets."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.api.sending import SendingWatch, taken_bytes, watch_sending

_MANY = b"x" * (32 * 1024 * 1024)


@asynccontextmanager
async def sending(family: socket.AddressFamily) -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """Give a transport that has much to send, and the socket of a client that has taken nothing of it."""
    loop = asyncio.get_running_loop()
    if family == socket.AF_UNIX:
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
    theirs.setblocking(False)
    with theirs:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        try:
            transport.write(_MANY)
            yield transport, theirs
        finally:
            transport.abort()
            await asyncio.sleep(0)


async def test_a_client_that_takes_nothing_has_stalled() -> None:
    stalled = asyncio.Event()
    async with sending(socket.AF_INET) as (transport, _), asyncio.timeout(60):
        with watch_sending(transport, stall_seconds=0.1, on_stall=stalled.set):
            await stalled.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can say what a client has taken")
async def test_a_client_that_goes_on_taking_has_not() -> None:
    loop = asyncio.get_running_loop()
    stalls: list[float] = []
    async with sending(socket.AF_INET) as (transport, theirs), asyncio.timeout(60):
        before = taken_bytes(transport)
        assert before is not None
        with watch_sending(transport, stall_seconds=2.0, on_stall=lambda: stalls.append(loop.time())):
            never = loop.create_future()
            until = loop.time() + 3.0
            while loop.time() < until:
                await loop.sock_recv(theirs, 256 * 1024)
                await asyncio.wait([never], timeout=0.05)  # It takes its time.
        after = taken_bytes(transport)
        assert after is not None
        assert after - before > 1024
    assert not stalls


async def test_a_client_of_whom_nobody_can_say_it_is_given_ten_times_as_long() -> None:
    stalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with sending(socket.AF_UNIX) as (transport, _), asyncio.timeout(60):
        assert taken_bytes(transport) is None
        began_at = loop.time()
        with watch_sending(transport, stall_seconds=0.02, on_stall=stalled.set):
            await stalled.wait()
        assert loop.time() - began_at >= 0.2


async def test_a_watch_that_was_stopped_says_nothing() -> None:
    stalled = asyncio.Event()
    async with sending(socket.AF_INET) as (transport, _):
        SendingWatch(transport, stall_seconds=0.01, on_stall=stalled.set).stop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await stalled.wait()
