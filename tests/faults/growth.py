"""Memory and descriptors of processes over time, and whether they level off.

Judged is the process of each title that has lived longest in the time that counts, after a third of its samples, in
which it may still warm up: pools fill, modules load, the allocator finds its size. Of the samples that follow, the
later half is held against the earlier: its median memory may be 5 % and 4 MiB more, its most descriptors 8 more.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

_MIB = 1024 * 1024
_FEWEST_SAMPLES = 9
_SHARE, _BYTES, _DESCRIPTORS = 0.05, 4 * _MIB, 8
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process held at one time.

    Args:
        at: in the time of `time.monotonic()`.
    """

    at: float
    pid: int
    resident_bytes: int
    descriptors: int


@dataclass(slots=True)
class Samples:
    """The samples of one run, by the title of the process.

    Args:
        judged: those that count.
        others: those of the time in which processes do not live long enough.
    """

    judged: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    others: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def take(self, title: str, pid: int, *, counts: bool) -> None:
        """Look at a process.

        Raises:
            OSError: it is gone.
        """
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        resident_kib = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), None)
        if resident_kib is None:
            raise ProcessLookupError(pid)  # It is dead, and nobody has asked yet what of.
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        sample = Sample(time.monotonic(), pid, resident_kib * 1024, descriptors)
        (self.judged if counts else self.others)[title].append(sample)

    def growth(self) -> list[str]:
        """Return what does not level off, in words."""
        return [problem for title, samples in self.judged.items() for problem in _growth(title, samples)]

    def lines(self) -> list[str]:
        """Return some of the samples of each title over the whole time, oldest first, for people."""
        titles = sorted(self.judged.keys() | self.others.keys())
        told = {title: [*self.others.get(title, []), *self.judged.get(title, [])] for title in titles}
        first = min((samples[0].at for samples in told.values()), default=0.0)
        return [_line(title, samples, first) for title, samples in told.items()]


def _growth(title: str, samples: list[Sample]) -> list[str]:
    lives: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        lives[sample.pid].append(sample)
    longest = max(lives.values(), key=len)
    if len(longest) < _FEWEST_SAMPLES:
        return [f"{title} did not live long enough to be judged: {len(longest)} samples"]
    warm = longest[len(longest) // 3 :]
    earlier, later = warm[: len(warm) // 2], warm[len(warm) // 2 :]
    problems = []
    before, after = (median(one.resident_bytes for one in half) for half in (earlier, later))
    if after > before * (1 + _SHARE) + _BYTES:
        problems.append(f"the memory of {title} grew from {before / _MIB:.0f} to {after / _MIB:.0f} MiB")
    opened, open_later = (max(one.descriptors for one in half) for half in (earlier, later))
    if open_later > opened + _DESCRIPTORS:
        problems.append(f"the descriptors of {title} grew from {opened} to {open_later}")
    return problems


def _line(title: str, samples: list[Sample], first: float) -> str:
    step = max(1, len(samples) // _SHOWN)
    shown = samples[::step]
    if samples[-1] is not shown[-1]:
        shown.append(samples[-1])
    told = (f"{one.at - first:.0f} s: {one.resident_bytes / _MIB:.0f} MiB, {one.descriptors} fd" for one in shown)
    return f"{title}: {'; '.join(told)}"
