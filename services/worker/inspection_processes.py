"""The processes that inspect, as the worker sees them: it orders one, reads its answer, and may take the order back."""

import asyncio
import os
import re
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_MAX_OUTPUT_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 2_000
_END_SECONDS = 5.0

_ROOT = str(Path(__file__).resolve().parents[2])
# Isolated mode looks for modules in the installation alone. This process may run from a source tree.
_BOOTSTRAP = (
    "import sys; root, *numbers = sys.argv[1:]; root in sys.path or sys.path.insert(0, root); "
    "from services.worker.inspection_template import main; main(*map(int, numbers))"
)
_EXIT_CODE = re.compile(rb"-?[0-9]{1,3}")


class InspectionFailed(Exception):
    """An inspection came to no end for reasons that need not lie in the archive; it is worth another try."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that inspected.

    Args:
        exit_code: negative when a signal ended it.
        output: all that it wrote.
    """

    exit_code: int
    output: bytes


@dataclass(frozen=True, slots=True)
class _Template:
    """The process that children are forked from, and the socket that it takes orders from.

    Args:
        end: done when it has ended; tells for people how.
    """

    process: Process
    control: socket.socket
    end: asyncio.Task[str]


class InspectionProcesses:
    """Runs each inspection in a process of its own. All of them are gone when its context ends."""

    def __init__(self) -> None:
        self._template: _Template | None = None
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._running_template()
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._template is not None:
            await _end(self._template)

    async def run(self, request: bytes) -> Ended:
        """Fork a process for the request, a line of JSON, and return when it has ended; cancelled, kill it.

        Raises:
            InspectionFailed: it said more than an answer can hold, or no processes can be had.
        """
        template = await self._running_template()
        async with _ordered(template, request) as said:
            output = bytearray()
            with suppress(ConnectionError):  # The order was not even looked at.
                while chunk := await said.read(_CHUNK_BYTES):
                    output += chunk
                    if len(output) > _MAX_OUTPUT_BYTES:
                        raise InspectionFailed(f"the answer is longer than {_MAX_OUTPUT_BYTES} bytes")
        answer, _, exit_code = output.rpartition(b"\n")
        if _EXIT_CODE.fullmatch(exit_code):
            return Ended(int(exit_code), bytes(answer))
        # Nobody was left to tell it. The next inspection starts a new one.
        raise InspectionFailed(f"the process that inspections are forked from ended: {await _end(template)}")

    async def _running_template(self) -> _Template:
        async with self._starting:
            template = self._template
            if template is None or template.process.returncode is not None:
                if template is not None:
                    template.control.close()
                self._template = template = await _start()
            return template


async def _start() -> _Template:
    control, inherited = socket.socketpair()
    with inherited:
        control.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-W", "ignore", "-c", _BOOTSTRAP, _ROOT, str(inherited.fileno()), str(os.getpid())),
            stdin=DEVNULL,
            stdout=PIPE,  # It says nothing, unless it breaks.
            stderr=STDOUT,
            pass_fds=(inherited.fileno(),),
            cwd="/",
            env={},  # The settings of this process, its secrets among them, are none of its business.
            process_group=0,  # Ctrl-C is for the worker, which then ends this itself.
        )
    return _Template(process, control, asyncio.create_task(_see_end(process)))


@asynccontextmanager
async def _ordered(template: _Template, request: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """Order a process, and yield what it says; take the order back when that is not wanted to its end."""
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        ours.send(request)  # Shorter by far than what a socket holds.
        with suppress(OSError):  # It has ended: then nothing is said.
            socket.send_fds(template.control, [b"\0"], [theirs.fileno()])
    said, ordering = await asyncio.open_connection(sock=ours)
    try:
        yield said
    finally:
        if not said.at_eof():
            with suppress(OSError, TimeoutError):
                ordering.write_eof()
                async with asyncio.timeout(_END_SECONDS):
                    while await said.read(_CHUNK_BYTES):
                        pass
        ordering.close()


async def _end(template: _Template) -> str:
    """Have the process end, with its children, and return for people how it did."""
    template.control.close()
    try:
        async with asyncio.timeout(_END_SECONDS):
            return await asyncio.shield(template.end)
    except TimeoutError:
        with suppress(ProcessLookupError):
            template.process.kill()
        return await template.end


async def _see_end(process: Process) -> str:
    assert process.stdout is not None
    output = b""
    while chunk := await process.stdout.read(_CHUNK_BYTES):
        output = (output + chunk)[-_SHOWN_CHARACTERS:]
    return f"exit code {await process.wait()}: {shown(output)}"


def shown(output: bytes) -> str:
    """Return the end of an output, so that it can stand in a message."""
    return output.decode("utf-8", "replace")[-_SHOWN_CHARACTERS:].strip()
