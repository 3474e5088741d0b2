"""A wall clock that a test sets, inside the processes of a registry: `tests/faults/clocks.py` moves its hands.

What Python code asks for the time of day is answered with the machine's time plus an offset, which all processes read
from one small file. Clocks that only count (asyncio's, timeouts) are left alone, as a real jump leaves them alone.
Redis, and the times of files, keep the machine's time.
"""

import datetime as dt
import mmap
import struct
import time as time_module
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLOCK_VARIABLE = "FAULT_CLOCK"
"""Names the file with the offset; without it the clock is the machine's."""
OFFSET = struct.Struct("d")
"""Seconds, as the file holds them."""

_Real = dt.datetime


class _AnyDatetime(type(_Real)):  # type: ignore[misc]  # a metaclass is asked for where `isinstance` is
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _Real)


def install(path: Path) -> None:
    """Let this process read its clock through the offset in the file."""
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), OFFSET.size, access=mmap.ACCESS_READ)
    machine_time, machine_time_ns = time_module.time, time_module.time_ns

    def seconds() -> float:
        return float(OFFSET.unpack_from(offset)[0])

    def shifted_time() -> float:
        return machine_time() + seconds()

    def shifted_time_ns() -> int:
        return machine_time_ns() + round(seconds() * 1_000_000_000)

    time_module.time = shifted_time
    time_module.time_ns = shifted_time_ns
    dt.datetime = _shifted_datetime(seconds)  # type: ignore[misc]  # that is the point


def _shifted_datetime(seconds: Callable[[], float]) -> type[dt.datetime]:
    class ShiftedDatetime(_Real, metaclass=_AnyDatetime):
        """Makes real datetimes; only what `now` means is another matter."""

        def __new__(cls, *arguments: Any, **named: Any) -> Any:
            return _Real(*arguments, **named)

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            shift = dt.timedelta(seconds=seconds())
            if tz is None:
                return _Real.now() + shift
            return (_Real.now(dt.UTC) + shift).astimezone(tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(dt.UTC).replace(tzinfo=None)

    return ShiftedDatetime
