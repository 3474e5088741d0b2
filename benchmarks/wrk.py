"""`wrk`, which asks for one thing over and over."""

import re
import resource
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

_REQUESTS = re.compile(r"^\s*(\d+) requests in ", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s*([0-9.]+)", re.MULTILINE)
_P99 = re.compile(r"^\s*99%\s+([0-9.]+)(us|ms|s|m)\s*$", re.MULTILINE)
_BYTES = re.compile(r"^\s*\d+ requests in [^,]+, ([0-9.]+)([KMGT]?)B read", re.MULTILINE)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_ELAPSED = re.compile(r"^\s*\d+ requests in ([0-9.]+)(us|ms|s|m),", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Read:
    """One kind of request, with the status that it has to be answered with."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Load:
    """What came back.

    Args:
        rate: requests a second.
        read_bytes: of answers, those under way at the end included.
        p99: seconds that the slowest request of a hundred took.
        generator_seconds: of a processor, that wrk itself used.
    """

    requests: int
    rate: float
    read_bytes: int
    seconds: float
    p99: float
    generator_seconds: float


class WasRefusedError(Exception):
    """Answers were errors, or connections broke: what was measured is not what was meant."""


def ask(read: Read, *, connections: int, seconds: float) -> Load:
    """Ask for it over so many connections; return what came back.

    Args:
        seconds: whole ones; anything less than one is one.
    """
    headers = [part for name, value in read.headers.items() for part in ("-H", f"{name}: {value}")]
    whole = max(1, round(seconds))
    command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "30s", *headers, read.url]
    before = _children_seconds()
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own
    return parse(told, generator_seconds=_children_seconds() - before)


def parse(told: str, *, generator_seconds: float) -> Load:
    """Read what wrk prints.

    Raises:
        WasRefusedError: It says that not all went well.
    """
    if "Non-2xx" in told or "Socket errors" in told:
        raise WasRefusedError(told)
    requests, rate, p99, size, elapsed = (
        pattern.search(told) for pattern in (_REQUESTS, _RATE, _P99, _BYTES, _ELAPSED)
    )
    assert requests, told
    assert rate, told
    assert p99, told
    assert size, told
    assert elapsed, told
    return Load(
        requests=int(requests[1]),
        rate=float(rate[1]),
        read_bytes=int(float(size[1]) * _SIZES[size[2]]),
        seconds=float(elapsed[1]) * _SECONDS[elapsed[2]],
        p99=float(p99[1]) * _SECONDS[p99[2]],
        generator_seconds=generator_seconds,
    )


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
