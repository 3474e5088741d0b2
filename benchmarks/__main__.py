"""`python -m benchmarks`: what `make bench` and `make bench-compare` call."""

import argparse
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from benchmarks.compete import compete
from benchmarks.plan import Plan
from benchmarks.rows import MEASUREMENTS
from benchmarks.servers.peers import PEERS
from tests.backends import postgresql_installation

_PROGRAMS = {"wrk": "wrk", "nginx": "nginx-light"}
"""What no package for Python has, and the package of Debian and Ubuntu that does."""


def main() -> None:
    """Measure what is asked for, and print it."""
    plan = _plan(_arguments())
    _look_for_programs()
    # What this starts, and the environments of the peers, end with it however it is told to.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    with tempfile.TemporaryDirectory(prefix="larder-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        print(compete(plan, directory))  # noqa: T201 - this is its output


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _choice(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return what reads names with commas between them; nothing but a comma is none of them."""

    def read(text: str) -> list[str]:
        asked = [name for name in text.split(",") if name]
        if unknown := set(asked) - set(known):
            raise argparse.ArgumentTypeError(f"no such name: {', '.join(sorted(unknown))}")
        return [name for name in known if name in asked]

    return read


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of nginx and Larder")
    parser.add_argument("--rounds", type=int, help="default: 3, or 1 if quick")
    parser.add_argument("--seconds", type=int, help="of each load; default: 3, or 1 if quick")
    parser.add_argument("--rows", type=_choice(MEASUREMENTS), default=list(MEASUREMENTS), help=", ".join(MEASUREMENTS))
    parser.add_argument(
        "--peers", type=_choice(tuple(PEERS)), help=f"{', '.join(PEERS)}; default: all, or none if quick"
    )
    return parser.parse_args()


def _plan(asked: argparse.Namespace) -> Plan:
    return Plan(
        measurements=asked.rows,
        rounds=asked.rounds or (1 if asked.quick else 3),
        seconds=asked.seconds or (1 if asked.quick else 3),
        peers=asked.peers if asked.peers is not None else [] if asked.quick else list(PEERS),
        has_postgresql=not asked.quick and postgresql_installation() is not None,
    )


def _look_for_programs() -> None:
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        packages = " ".join(_PROGRAMS[name] for name in missing)
        raise SystemExit(f"Not on PATH: {', '.join(missing)}. On Debian and Ubuntu: apt-get install {packages}")


main()
