"""How much memory processes hold, now and at most."""

import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

_LOOK_SECONDS = 0.02


def rss_bytes(pid: int) -> int:
    """Return the resident size of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} is gone")


class PeakWatcher:
    """Notes the largest resident size of each process while its block runs.

    Args:
        before: bytes by process, when it began.
        peaks: bytes by process, at most.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self.before = {pid: rss_bytes(pid) for pid in pids}
        self.peaks = dict(self.before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def rises(self) -> dict[int, int]:
        """Return by how many bytes each process grew at most."""
        return {pid: self.peaks[pid] - self.before[pid] for pid in self.before}

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            for pid in self.peaks:
                self.peaks[pid] = max(self.peaks[pid], rss_bytes(pid))
