"""Asks all servers one after another, round after round, so that they share the hours of a busy machine fairly."""

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.corpus import Wheel, large_wheel, small_wheel
from benchmarks.figures import Figure, Figures, median
from benchmarks.installs import measure_install
from benchmarks.plan import Plan
from benchmarks.reads import find_reads
from benchmarks.reads import measure as measure_read
from benchmarks.rows import GROWTH
from benchmarks.servers.server import Server
from benchmarks.starts import measure_start
from benchmarks.uploads import measure_large, measure_small
from benchmarks.wrk import Read, WasRefusedError

_SMALL_UPLOADS_A_SECOND = 1_000
"""More than any server takes for long."""
T = TypeVar("T")


class Rounds:
    """Measures servers and keeps what it found.

    Args:
        directory: for what is uploaded.
        notes: what a reader of the figures has to know.
    """

    def __init__(self, plan: Plan, servers: Sequence[Server], directory: Path) -> None:
        self.notes: list[str] = []
        self._plan = plan
        self._servers = servers
        self._directory = directory
        self._reads: Mapping[str, dict[str, Read]] = {}
        self._found: defaultdict[tuple[str, str], list[Figure]] = defaultdict(list)

    def run(self) -> dict[tuple[str, str], Figure]:
        """Measure all rounds; return the medians by row and server."""
        self._reads = {server.name: find_reads(server, self._plan.measurements) for server in self._servers}
        for number in range(self._plan.rounds):
            for measurement in self._plan.measurements:
                if measurement == GROWTH:
                    continue
                say(f"round {number + 1} of {self._plan.rounds}: {measurement}")
                self._measure(measurement, number)
        return {key: median(figures) for key, figures in self._found.items()}

    def _measure(self, measurement: str, number: int) -> None:
        if measurement == "upload":
            wheel = large_wheel(self._directory, f"2.{number}")
            self._each(lambda server: measure_large(server, wheel), self._publishing)
            wheel.path.unlink()
        elif measurement == "small-uploads":
            wheels = self._small_wheels(number)
            self._each(lambda server: self._upload_small(server, wheels), self._publishing)
        elif measurement == "start":
            self._each(measure_start, self._servers)
        elif measurement == "install":
            self._each(lambda server: measure_install(server, self._directory), self._servers)
        else:
            self._each(lambda server: self._read(server, measurement), self._servers)

    def _each(self, measure: Callable[[Server], Figures], servers: Sequence[Server]) -> None:
        for server in servers:
            for row, figure in measure(server).items():
                self._found[row, server.name].append(figure)

    def _read(self, server: Server, kind: str) -> Figures:
        read = self._reads[server.name].get(kind)
        if read is None:
            return {}
        try:
            return measure_read(server, kind, read, seconds=self._plan.seconds)
        except WasRefusedError as error:
            self.notes.append(f"{server.name}: {kind} was refused: {' '.join(str(error).split())}")
            return {}

    def _upload_small(self, server: Server, wheels: Sequence[Wheel]) -> Figures:
        return measure_small(server, wheels, seconds=self._plan.seconds, note=self.notes.append)

    def _small_wheels(self, number: int) -> list[Wheel]:
        count = int(_SMALL_UPLOADS_A_SECOND * (self._plan.seconds + 1))
        return [small_wheel(self._directory, f"up-{one // 10}", f"{number}.{one % 10}") for one in range(count)]

    @property
    def _publishing(self) -> list[Server]:
        return [server for server in self._servers if server.publication is not None]


def say(what: str) -> None:
    """Tell how far it is, beside the output."""
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()
