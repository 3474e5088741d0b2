"""The wall clock of a registry's processes, which a test sets; `inside/clock.py` is what they read it through."""

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.inside.clock import CLOCK_VARIABLE, OFFSET


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock beside the machine's."""

    path: Path
    hands: mmap.mmap

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a registry must be started with, so that its processes read this clock."""
        return {CLOCK_VARIABLE: str(self.path)}

    def jump(self, by: timedelta) -> None:
        """Move it at once."""
        (offset,) = OFFSET.unpack_from(self.hands)
        OFFSET.pack_into(self.hands, 0, offset + by.total_seconds())

    @property
    def now(self) -> datetime:
        """Return what it shows, in UTC."""
        (offset,) = OFFSET.unpack_from(self.hands)
        return datetime.now(UTC) + timedelta(seconds=offset)


@contextmanager
def a_clock(path: Path) -> Iterator[Clock]:
    """Give a clock that is right until it is moved, in a file that is made."""
    path.write_bytes(OFFSET.pack(0.0))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), OFFSET.size) as hands:
        yield Clock(path, hands)
