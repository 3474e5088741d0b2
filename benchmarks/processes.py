"""What processes cost: their time, and the memory that they hold."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError)


def with_descendants(roots: Iterable[int]) -> list[int]:
    """Return these processes and all that they started, directly or not."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(*_GONE):
                children.setdefault(int(_fields(int(entry.name))[1]), []).append(int(entry.name))
    found = list(roots)
    for one in found:  # It grows meanwhile.
        found += children.get(one, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return what they and those of their children that have ended used so far."""
    used = 0
    for pid in pids:
        with suppress(*_GONE):
            used += sum(map(int, _fields(pid)[11:15]))
    return used / _TICKS


def title(pid: int) -> str:
    """Return how `ps` shows it; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\x00", b" ").decode(errors="replace").strip()
    except _GONE:
        return ""


def _fields(pid: int) -> list[str]:
    """Return what `stat` tells, from the state on."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
