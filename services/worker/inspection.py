"""The process boundary around archives: each is opened in a child process of its own, under limits.

A child serves one inspection, so nothing that an archive does to it reaches the next. It is forked from a process that
has everything loaded: an inspection then costs milliseconds and not the start of a Python.
"""

import asyncio
import base64
import json
import signal
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.worker.inspection_processes import Ended, InspectionFailed, InspectionProcesses, shown
from shared.distributions.archives import ArchiveLimits
from shared.errors import DistributionRejected
from shared.limits import Limits
from shared.models import CoreMetadata

_MIB = 1024 * 1024
_GIB = 1024 * _MIB


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """What one inspection may use, and how many run at once.

    Args:
        memory_bytes: address space of the child.
        cpu_seconds: of the smallest archive. Every GiB adds `cpu_seconds_per_gib`.
        wall_factor: seconds on the clock for each second of CPU. An idle machine never needs them, so an inspection
            that takes longer says nothing about its archive.
        archive: what the archive itself may hold.
    """

    memory_bytes: int = 512 * _MIB
    cpu_seconds: int = 10
    cpu_seconds_per_gib: int = 60
    wall_factor: float = 3.0
    at_once: int = 4
    archive: ArchiveLimits = field(default_factory=ArchiveLimits)

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """Return what the operator allows an inspection."""
        return cls(
            memory_bytes=limits.inspection_memory_bytes,
            cpu_seconds=limits.inspection_seconds,
            at_once=limits.inspections_at_once,
            archive=ArchiveLimits(
                max_entries=limits.max_archive_entries,
                max_expanded_bytes=limits.max_archive_bytes,
                max_ratio=limits.max_archive_ratio,
            ),
        )


class DistributionInspector:
    """Inspects distributions in child processes. All of them are gone when its context ends."""

    def __init__(self, limits: InspectionLimits | None = None) -> None:
        self._limits = limits or InspectionLimits()
        self._slots = asyncio.Semaphore(self._limits.at_once)
        self._processes = InspectionProcesses()

    async def __aenter__(self) -> Self:
        await self._processes.__aenter__()
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._processes.__aexit__(error_type, error, traceback)

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
                "archive": asdict(self._limits.archive),
            }
            wall_seconds = cpu_seconds * self._limits.wall_factor
            try:
                async with asyncio.timeout(wall_seconds):
                    ended = await self._processes.run(json.dumps(request).encode() + b"\n")
            except TimeoutError as error:
                raise InspectionFailed(f"no answer within {wall_seconds:.0f} s") from error
        return _read_answer(ended)


def _look_at(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_size, str(path.absolute())
    except OSError as error:
        raise InspectionFailed(f"{path} cannot be read") from error


def _read_answer(ended: Ended) -> CoreMetadata:
    if ended.exit_code == -signal.SIGXCPU:
        raise DistributionRejected("archive takes too long to be read")
    if ended.exit_code != 0:
        raise InspectionFailed(f"exit code {ended.exit_code}: {shown(ended.output)}")
    try:
        answer: Any = json.loads(ended.output)
    except ValueError as error:
        raise InspectionFailed(f"no answer: {shown(ended.output)}") from error
    match answer:
        case {"rejected": str(reason)}:
            raise DistributionRejected(reason)
        case {
            "metadata": str(raw),
            "name": str(name),
            "version": str(version),
            "requires_python": str() | None as requires_python,
            "flaw": str() | None as flaw,
        }:
            content = base64.b64decode(raw)
            return CoreMetadata(raw=content, name=name, version=version, requires_python=requires_python, flaw=flaw)
        case _:
            raise InspectionFailed(f"unknown answer: {shown(ended.output)}")
