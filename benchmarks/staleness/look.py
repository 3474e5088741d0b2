"""Looks for one stale answer among a million, of two API processes, while somebody writes all the time."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.staleness.wire_door import wire_doors
from tests.e2e.processes import start_larder
from tests.stale_answers import Findings, Teller, settled_tellers

_PROCESSES = 2
_TELLERS = 16
_AT_ONCE = 12
_WRITES_A_SECOND = 60.0
"""Tried for, so that there are 50 also where one takes long."""
LEAST_WRITES_A_SECOND = 50.0
_WINDOW_SECONDS = 10.0
_ASKS = 2
"""So many of eleven questions at a time: after a write, each has to be derived anew in both processes."""
_SEED = 11


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found.

    Args:
        slowest: writes a second, in the ten seconds in which there were the fewest.
        looks: how often a process looked whether counters had changed.
        held: how often they had not, so that what was remembered was given out.
    """

    findings: Findings
    seconds: float
    slowest: float
    looks: int
    held: int

    @property
    def is_missed(self) -> bool:
        """Say whether an answer was stale, or too little was written for that to prove anything."""
        return bool(self.findings.stale) or self.slowest < LEAST_WRITES_A_SECOND

    def __str__(self) -> str:
        """Return it as a sentence."""
        writes = self.findings.writes.total()
        return (
            f"{self.findings.checks:,} answers of {_PROCESSES} processes in {self.seconds:,.0f} s,"
            f" during {writes:,} writes ({writes / self.seconds:.0f} a second, in the slowest"
            f" {_WINDOW_SECONDS:.0f} seconds {self.slowest:.0f}): {len(self.findings.stale)} stale."
            f" Counters were looked at {self.looks:,} times, and {self.held:,} times nothing had changed."
            f"{f' **missed**: none stale, and {LEAST_WRITES_A_SECOND:.0f} writes a second' if self.is_missed else ''}"
        )


def look(directory: Path, *, answers: int) -> Looked:
    """Compare so many answers with what has to be told."""
    counted = directory / "counted"
    counted.mkdir(parents=True)
    on_path = Path(__file__).with_name("on_python_path")
    # Tokens that have ended are tried all the time.
    settings = {"AUTH_FAILURES_PER_MINUTE": "1000000", "API_PROCESSES": str(_PROCESSES)}
    environment = {"PYTHONPATH": str(on_path), "COUNTED_CHECKS": str(counted)}
    larder = start_larder(directory / "var", settings, environment=environment)
    try:
        larder.wait_until_ready()
        pids = larder.pids("larder api")
        findings, seconds, slowest = asyncio.run(_go_on(larder.url, pids, larder.token, answers=answers))
        larder.stop()
    finally:
        larder.end()
    sums: Counter[str] = Counter()
    for file in counted.iterdir():
        sums.update(json.loads(file.read_text(encoding="ascii")))
    return Looked(findings, seconds, slowest, looks=sums["looks"], held=sums["held"])


async def _go_on(url: str, pids: Sequence[int], token: str, *, answers: int) -> tuple[Findings, float, float]:
    async with wire_doors(url, pids, each=_AT_ONCE) as doors:
        tellers = await settled_tellers(doors, token, tellers=_TELLERS, seed=_SEED, asks=_ASKS)
        findings = tellers[0].findings
        started_at = time.monotonic()
        rates: list[float] = []
        watch = asyncio.create_task(_note_rates(findings, rates))
        await _all_go_on(tellers, answers=answers)
        watch.cancel()
        seconds = time.monotonic() - started_at
        return findings, seconds, min(rates, default=findings.writes.total() / seconds)


async def _all_go_on(tellers: Sequence[Teller], *, answers: int) -> None:
    async with asyncio.TaskGroup() as group:
        for teller in tellers:
            group.create_task(teller.go_on_until(checks=answers, period=len(tellers) / _WRITES_A_SECOND))


async def _note_rates(findings: Findings, rates: list[float]) -> None:
    """Note, until it is cancelled, how many writes a second there were in each window."""
    while True:
        before, at = findings.writes.total(), time.monotonic()
        await asyncio.sleep(_WINDOW_SECONDS)
        rates.append((findings.writes.total() - before) / (time.monotonic() - at))
