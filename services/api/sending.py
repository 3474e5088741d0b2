"""Whether a client takes what is sent to it, whoever sends: the kernel from a file, or the loop from memory.

Bytes that the kernel has taken say little: its buffers hold megabytes. What counts is what the client's machine has
acknowledged.

Source: tcp(7), TCP_INFO; linux/tcp.h, tcp_info.tcpi_bytes_acked.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from services.api.body import LEAST_BYTES_PER_SECOND

_LOOKS_A_LIMIT = 4
_ACKED = slice(120, 128)
_BLIND_FACTOR = 10
"""Where nobody can say what was acknowledged, a client is given so many times as long for each piece."""


@contextmanager
def watch_sending(
    transport: asyncio.Transport, *, stall_seconds: float, on_stall: Callable[[], object]
) -> Iterator[None]:
    """While the block runs, call `on_stall` once if the client stops taking what is sent to it.

    Args:
        stall_seconds: how long it may take less than `LEAST_BYTES_PER_SECOND` on average.
    """
    watch = SendingWatch(transport, stall_seconds=stall_seconds, on_stall=on_stall)
    try:
        yield
    finally:
        watch.stop()


class SendingWatch:
    """Looks at one transport again and again until it is stopped, or its client has stalled."""

    def __init__(self, transport: asyncio.Transport, *, stall_seconds: float, on_stall: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._on_stall = on_stall
        self._taken = taken_bytes(transport)
        self._stall_seconds = stall_seconds if self._taken is not None else stall_seconds * _BLIND_FACTOR
        self._since = self._loop.time()
        self._timer = self._loop.call_later(self._stall_seconds / _LOOKS_A_LIMIT, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now, taken = self._loop.time(), taken_bytes(self._transport)
        if taken is not None and taken - (self._taken or 0) >= self._stall_seconds * LEAST_BYTES_PER_SECOND:
            self._taken, self._since = taken, now
        if now - self._since >= self._stall_seconds:
            self._on_stall()
            return
        self._timer = self._loop.call_later(self._stall_seconds / _LOOKS_A_LIMIT, self._look)


def taken_bytes(transport: asyncio.Transport) -> int | None:
    """Return how many bytes the client's machine has acknowledged in all; None where nobody can say."""
    connection = transport.get_extra_info("socket")
    if sys.platform != "linux" or connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    with suppress(OSError):
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.stop)
        if len(told) == _ACKED.stop:
            return int.from_bytes(told[_ACKED], sys.byteorder)
    return None
