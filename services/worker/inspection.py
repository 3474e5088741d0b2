"""The process boundary around archives: each is opened in a child process of its own, under limits.

A child serves one inspection, so nothing that an archive does to it reaches the next. One child is always started
ahead: an inspection then costs milliseconds and not the start of a Python.
"""

import asyncio
import base64
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shared.errors import DistributionRejected
from shared.models import CoreMetadata

_MIB = 1024 * 1024
_GIB = 1024 * _MIB

_MAX_ANSWER_BYTES = 4 * _MIB
_CHUNK_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 2_000
_END_SECONDS = 5.0

_ROOT = str(Path(__file__).resolve().parents[2])
# Isolated mode looks for modules in the installation alone. This process may run from a source tree.
_BOOTSTRAP = (
    "import sys; root, parent_pid = sys.argv[1:]; root in sys.path or sys.path.insert(0, root); "
    "from services.worker.inspection_child import main; main(int(parent_pid))"
)


class InspectionFailed(Exception):
    """An inspection came to no end for reasons that need not lie in the archive; it is worth another try."""


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """What one inspection may use, and how many run at once.

    Args:
        memory_bytes: address space of the child.
        cpu_seconds: of the smallest archive. Every GiB adds `cpu_seconds_per_gib`.
        wall_factor: seconds on the clock for each second of CPU. An idle machine never needs them, so an inspection
            that takes longer says nothing about its archive.
    """

    memory_bytes: int = 512 * _MIB
    cpu_seconds: int = 10
    cpu_seconds_per_gib: int = 60
    wall_factor: float = 3.0
    at_once: int = 4


class DistributionInspector:
    """Inspects distributions in child processes. All of them are gone when its context ends."""

    def __init__(self, limits: InspectionLimits | None = None) -> None:
        self._limits = limits or InspectionLimits()
        self._slots = asyncio.Semaphore(self._limits.at_once)
        self._children: set[Process] = set()
        self._spare: Process | None = None
        self._is_preparing = False

    async def __aenter__(self) -> Self:
        await self._prepare_spare()
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        children = list(self._children)
        for child in children:
            _kill(child)
        for child in children:
            await self._end(child)

    async def inspect(self, path: Path, *, file_name: str) -> CoreMetadata:
        """Open the distribution at `path` in a process with its own limits and return its core metadata.

        Raises:
            DistributionRejected: as the port says.
            InspectionFailed: the child died of something else, or the machine was too slow to tell.
        """
        async with self._slots:
            size_bytes, absolute_path = await asyncio.to_thread(_look_at, path)
            cpu_seconds = self._limits.cpu_seconds + self._limits.cpu_seconds_per_gib * size_bytes // _GIB
            request = {
                "path": absolute_path,
                "file_name": file_name,
                "memory_bytes": self._limits.memory_bytes,
                "cpu_seconds": cpu_seconds,
            }
            wall_seconds = cpu_seconds * self._limits.wall_factor
            try:
                async with self._child() as child, asyncio.timeout(wall_seconds):
                    output = await self._ask(child, json.dumps(request).encode() + b"\n")
                    exit_code = await child.wait()
            except TimeoutError as error:
                raise InspectionFailed(f"no answer within {wall_seconds:.0f} s") from error
        return _read_answer(exit_code, output)

    async def _ask(self, child: Process, line: bytes) -> bytes:
        """Send the request and return all that the child says until it ends."""
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError, ConnectionResetError):  # Its exit code will say why it is gone.
            child.stdin.write(line)
            await child.stdin.drain()
        child.stdin.close()
        # The child is busy now, so starting its successor costs this inspection nothing; nor must its failure.
        with suppress(OSError):
            await self._prepare_spare()
        output = bytearray()
        while chunk := await child.stdout.read(_CHUNK_BYTES):
            output += chunk
            if len(output) > _MAX_ANSWER_BYTES:
                raise InspectionFailed(f"the answer is longer than {_MAX_ANSWER_BYTES} bytes")
        return bytes(output)

    @asynccontextmanager
    async def _child(self) -> AsyncIterator[Process]:
        spare, self._spare = self._spare, None
        if spare is not None and spare.returncode is not None:
            await self._end(spare)
            spare = None
        child = spare or await self._start()
        try:
            yield child
        finally:
            await self._end(child)

    async def _prepare_spare(self) -> None:
        if self._spare is not None or self._is_preparing:
            return
        self._is_preparing = True
        try:
            self._spare = await self._start()
        finally:
            self._is_preparing = False

    async def _start(self) -> Process:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-W", "ignore", "-c", _BOOTSTRAP, _ROOT, str(os.getpid())),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,  # So that a traceback is there to show; an answer is the only output of a good end.
            cwd="/",
            env={},  # The settings of this process, its secrets among them, are none of the child's business.
            process_group=0,  # Ctrl-C is for the worker, which then ends its children itself.
        )
        self._children.add(child)
        return child

    async def _end(self, child: Process) -> None:
        """Kill the child if it still runs, and reap it."""
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        _kill(child)
        async with asyncio.timeout(_END_SECONDS):
            # A pipe that nobody reads would keep asyncio from seeing the end of the process.
            while await child.stdout.read(_CHUNK_BYTES):
                pass
            await child.wait()
        self._children.discard(child)


def _kill(child: Process) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.kill()


def _look_at(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_size, str(path.absolute())
    except OSError as error:
        raise InspectionFailed(f"{path} cannot be read") from error


def _read_answer(exit_code: int, output: bytes) -> CoreMetadata:
    if exit_code == -signal.SIGXCPU:
        raise DistributionRejected("archive takes too long to be read")
    if exit_code != 0:
        raise InspectionFailed(f"exit code {exit_code}: {_shown(output)}")
    try:
        answer: Any = json.loads(output)
    except ValueError as error:
        raise InspectionFailed(f"no answer: {_shown(output)}") from error
    match answer:
        case {"rejected": str(reason)}:
            raise DistributionRejected(reason)
        case {
            "metadata": str(raw),
            "name": str(name),
            "version": str(version),
            "requires_python": str() | None as requires_python,
        }:
            return CoreMetadata(raw=base64.b64decode(raw), name=name, version=version, requires_python=requires_python)
        case _:
            raise InspectionFailed(f"unknown answer: {_shown(output)}")


def _shown(output: bytes) -> str:
    return output.decode("utf-8", "replace")[-_SHOWN_CHARACTERS:].strip()
