"""Measure Larder: beside nginx and its peers, two commits of it, or a small registry and a large one."""

import argparse
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

from benchmarks.compare import compare
from benchmarks.compete import compete
from benchmarks.plan import Plan
from benchmarks.rows import GROWTH, MEASUREMENTS
from benchmarks.scale.scale import scale
from benchmarks.servers.peers import PEERS
from benchmarks.staleness.look import look
from tests.backends import postgresql_installation

_PROGRAMS = {"wrk": "wrk", "nginx": "nginx-light"}
"""What no package for Python has, and the package of Debian and Ubuntu that does."""
_ANSWERS, _FEW_ANSWERS = 1_000_000, 20_000


def main() -> None:
    """Measure what is asked for, and print it."""
    asked = _arguments()
    # What was started ends with this process, however that is told to end.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    with tempfile.TemporaryDirectory(prefix="larder-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # Whoever nginx and PostgreSQL run as has to get through.
        if asked.what == "scale":
            scaled = scale(directory, is_quick=asked.quick)
            _tell(str(scaled))
            raise SystemExit(1 if scaled.complaints else 0)
        _look_for_programs()
        plan = _plan(asked)
        if asked.what == "compare":
            _tell(compare(plan, directory, (asked.a, asked.b)))
            return
        if plan.measurements:
            _tell(compete(plan, directory))
        if plan.answers:
            looked = look(directory / "staleness", answers=plan.answers)
            _tell(f"\n{looked}")
            if looked.is_missed:
                raise SystemExit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    beside = kinds.add_parser("compete", help="Larder beside nginx and its peers")
    beside.add_argument("--quick", action="store_true", help="one short round of nginx and Larder, and no growth")
    beside.add_argument(
        "--peers", type=_choice(tuple(PEERS)), help=f"{', '.join(PEERS)}; default: all, or none if quick"
    )
    beside.add_argument("--no-postgresql", action="store_true", help="leave out Larder on PostgreSQL")
    beside.add_argument("--answers", type=int, help="to look at for a stale one; default: 1000000, or 20000 if quick")
    both = kinds.add_parser("compare", help="two commits of Larder")
    both.add_argument("a", help="a commit")
    both.add_argument("b", nargs="?", default=".", help="another; default: what is checked out here")
    both.add_argument("--quick", action="store_true", help="one short round")
    for one in (beside, both):
        one.add_argument("--rounds", type=int, help="default: 3, or 1 if quick")
        one.add_argument("--seconds", type=int, help="of each load; default: 3, or 1 if quick")
        one.add_argument("--rows", type=_choice(MEASUREMENTS), help=f"{', '.join(MEASUREMENTS)}, or none; default: all")
        one.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of Larder: API_PROCESSES=1"
        )
    large = kinds.add_parser("scale", help="a registry of a thousand packages and one of a million, on PostgreSQL")
    large.add_argument("--quick", action="store_true", help="of forty thousand, in a few minutes")
    return parser.parse_args()


def _plan(asked: argparse.Namespace) -> Plan:
    usual = [name for name in MEASUREMENTS if name != GROWTH or not asked.quick]
    plan = Plan(
        measurements=usual if asked.rows is None else asked.rows,
        rounds=asked.rounds or (1 if asked.quick else 3),
        seconds=asked.seconds or (1 if asked.quick else 3),
        settings=dict(setting.split("=", 1) for setting in asked.set),
    )
    if asked.what == "compare":
        return plan
    usual_answers = _FEW_ANSWERS if asked.quick else _ANSWERS
    return replace(
        plan,
        peers=([] if asked.quick else list(PEERS)) if asked.peers is None else asked.peers,
        has_postgresql=not (asked.quick or asked.no_postgresql) and postgresql_installation() is not None,
        answers=usual_answers if asked.answers is None else asked.answers,
    )


def _choice(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return what reads names with commas between them, or the word "none"."""

    def read(text: str) -> list[str]:
        asked = [] if text == "none" else text.split(",")
        if unknown := set(asked) - set(known):
            raise argparse.ArgumentTypeError(f"no such name: {', '.join(sorted(unknown))}")
        return [name for name in known if name in asked]

    return read


def _look_for_programs() -> None:
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        packages = " ".join(_PROGRAMS[name] for name in missing)
        raise SystemExit(f"Not on PATH: {', '.join(missing)}. On Debian and Ubuntu: apt-get install {packages}")


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # Asking twice is no reason to leave something behind.
    raise SystemExit(128 + number)


def _tell(what: str) -> None:
    print(what, flush=True)  # noqa: T201 - this is its output


if __name__ == "__main__":
    main()
