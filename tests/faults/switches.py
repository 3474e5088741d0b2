"""Switches for the fault points inside a registry's processes; `inside/sitecustomize.py` says which there are."""

import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.inside.sitecustomize import SEAMS, SWITCHES_VARIABLE, TRANSACTIONS
from tests.waiting import wait_for

_INSIDE = Path(__file__).parent / "inside"
_JOBS = ("process", "destroy")


@dataclass(frozen=True, slots=True)
class Fired:
    """A point that was passed while it was switched on.

    Args:
        pid: the process that passed it.
        at: when, in the time of `time.time()`.
    """

    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Switches:
    """The switches of one registry. Its processes look at them whenever they pass a point."""

    directory: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a registry must be started with, so that its processes have fault points."""
        return {"PYTHONPATH": str(_INSIDE), SWITCHES_VARIABLE: str(self.directory)}

    def kill(self, point: str, *, other: int | None = None, passage: int = 1) -> None:
        """Let the process that passes the point kill itself there, or another one; once, at the n-th passage."""
        self._arm(point, "kill" if other is None else f"kill {other}", passage)

    def stop(self, point: str, *, passage: int = 1) -> None:
        """Let the process that passes the point stand still there until `go_on`."""
        self._arm(point, "stop", passage)

    def fail(self, point: str, error: str, *, passage: int = 1) -> None:
        """Let the point raise OSError: "ENOSPC", "EIO"."""
        self._arm(point, f"raise {error}", passage)

    def wait(self, point: str, *, timeout_seconds: float) -> Fired:
        """Return when the point was passed, switched on; the switch is then as new."""
        fired = wait_for(lambda: self._fired(point), what=f"{point} is passed", timeout_seconds=timeout_seconds)
        assert fired is not None
        at = fired.stat().st_ctime
        fired.unlink()
        return Fired(pid=int(fired.name.rpartition(".")[2]), at=at)

    def go_on(self, fired: Fired) -> None:
        """Let a stopped process go on."""
        os.kill(fired.pid, signal.SIGCONT)

    def turn_off(self, point: str) -> None:
        """Forget a switch that nobody has passed."""
        shutil.rmtree(self.directory / "armed" / point, ignore_errors=True)

    def _arm(self, point: str, action: str, passage: int) -> None:
        assert point in POINTS, f"there is no point {point}"
        place = self.directory / "armed" / point
        (self.directory / "fired").mkdir(parents=True, exist_ok=True)
        new = place.with_name(f".{point}")  # Becomes a switch all at once.
        new.mkdir(parents=True)
        for number in range(1, passage + 1):
            (new / str(number)).write_text(action, encoding="ascii")
        shutil.rmtree(place, ignore_errors=True)
        new.rename(place)

    def _fired(self, point: str) -> Path | None:
        return next((self.directory / "fired").glob(f"{point}.*"), None)


def _all_points() -> frozenset[str]:
    seams = {seam.replace("{job}", job) for seams in SEAMS.values() for *_, seam in seams for job in _JOBS}
    commits = {f"{seam}.commit" for seams in TRANSACTIONS.values() for *_, seam in seams}
    return frozenset(f"{seam}:{side}" for seam in seams | commits for side in ("before", "after"))


POINTS = _all_points()
