"""Log lines on their way to standard error: written together, and without waiting for whoever reads them.

What is logged in an event loop is written together with what is logged there in the next two milliseconds; what is
worse than information, at once. A pipe, socket or terminal is asked first whether it takes anything; while it does not,
lines wait in memory and are tried again. When more than 4 MiB wait, further lines are dropped, counted, and told of as
soon as there is room. A process that ends waits five seconds for its last lines; one that is killed loses those of its
last two milliseconds. Where no loop runs, lines are written at once.

Standard error is not set to non-blocking for all that, because every process that shares it would get that, too. So a
line can still be held up by a full pipe when another process has filled it since it was asked, until somebody reads.
"""

import asyncio
import atexit
import os
import select
import stat
import sys
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

import structlog

log = structlog.get_logger()

_MOST_WAITING_BYTES = 4 * 1024**2
_TOGETHER_SECONDS = 0.002
_RETRY_SECONDS = 0.001
_LAST_SECONDS = 5.0
_PIPE_BYTES = select.PIPE_BUF
"""So much is taken at once by a pipe that takes anything, and is not mingled with what others write."""
_FILE_BYTES = 64 * 1024


class StandardErrorLines:
    """Writes whole lines to standard error. One that cannot be written harms nothing but the log."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lost = 0
        self._due_in: asyncio.AbstractEventLoop | None = None
        atexit.register(self.finish)

    def msg(self, line: str) -> None:
        """Write one line."""
        self.add((f"{line}\n".encode("utf-8", "backslashreplace"),))

    def urgent(self, line: str) -> None:
        """Write one line, and all that wait, before anything else is done."""
        self.msg(line)
        if self._due_in is not None and self._is_in(self._due_in):
            self._write_what_is_taken()

    debug = info = msg
    warning = error = critical = urgent

    def add(self, lines: Iterable[bytes]) -> None:
        """Write some lines, each of which has its line feed."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write_at_once(lines)
            return
        for line in lines:
            if self._waiting_bytes + len(line) > _MOST_WAITING_BYTES:
                self._lost += 1
                continue
            self._waiting.append(line)
            self._waiting_bytes += len(line)
        if self._due_in is not loop:
            self._due_in = loop
            loop.call_later(_TOGETHER_SECONDS, self._write_in_turn)

    def finish(self) -> None:
        """Write what waits, unless nobody takes it."""
        until = monotonic() + _LAST_SECONDS
        while self._waiting and (remaining := until - monotonic()) > 0:
            self._write_what_is_taken(wait_seconds=remaining)

    def _is_in(self, loop: asyncio.AbstractEventLoop) -> bool:
        try:
            return asyncio.get_running_loop() is loop
        except RuntimeError:
            return False

    def _write_at_once(self, lines: Iterable[bytes]) -> None:
        if threading.current_thread() is threading.main_thread():
            self.finish()  # The loop that was to do it has ended.
        for line in lines:
            _write_buffered(line)

    def _write_in_turn(self) -> None:
        self._due_in = None
        self._write_what_is_taken()
        if self._waiting:
            self._due_in = loop = asyncio.get_running_loop()
            loop.call_later(_RETRY_SECONDS, self._write_in_turn)
        elif self._lost:
            lost, self._lost = self._lost, 0
            log.warning("log.lines_lost", count=lost)

    def _write_what_is_taken(self, wait_seconds: float = 0.0) -> None:
        try:
            descriptor = sys.stderr.fileno()
            at_once = _FILE_BYTES if stat.S_ISREG(os.fstat(descriptor).st_mode) else _PIPE_BYTES
        except (OSError, ValueError):  # It is closed, or no file at all: a test's, say.
            while self._waiting:
                _write_buffered(self._next(_FILE_BYTES))
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        while self._waiting and (at_once is _FILE_BYTES or poll.poll(wait_seconds * 1000)):
            _write(descriptor, self._next(at_once))

    def _next(self, most_bytes: int) -> bytes:
        """Take away as many lines as are that long together, one at least."""
        taken = [self._waiting.popleft()]
        length = len(taken[0])
        while self._waiting and length + len(self._waiting[0]) <= most_bytes:
            taken.append(self._waiting.popleft())
            length += len(taken[-1])
        self._waiting_bytes -= length
        return b"".join(taken)


def _write(descriptor: int, data: bytes) -> None:
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


def _write_buffered(data: bytes) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()
