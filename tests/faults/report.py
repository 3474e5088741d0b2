"""The table of faults: each fault test leaves a row in it, and pytest prints it at the end of its run.

A test asks for the fixture `fault_report` and calls `conclude`, which writes the row first and fails then:

    fault_report.conclude("disk full during upload", runs=12, ledger=ledger, findings=findings,
                          longest_recovery_seconds=4.2)

Rows of one fault from several tests become one line. They travel as properties of pytest's reports, so that they are
seen when tests run in several processes, too. Where FAULT_ROWS names a file, a run only adds its rows to that, and
`python -m tests.faults.report FILE` prints the one table of several runs.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.faults.checker import Findings
from tests.faults.ledger import Ledger

_PROPERTY = "fault"
_ROWS_VARIABLE = "FAULT_ROWS"
_DEFAULT_SEED = 20261121
_HEADINGS = ("fault", "runs", "acknowledged", "lost", "doubled", "leaked", "longest recovery")


@dataclass(frozen=True, slots=True)
class FaultRow:
    """A line of the table.

    Args:
        runs: how often the fault struck.
        acknowledged: how many changes clients were told are done.
        lost: how many of them are not as told: gone, damaged, unreadable, unfinished, undone.
        doubled: how many files are there that should not be, or twice.
        leaked: what lies on the disk and is nobody's.
        longest_recovery_seconds: from the fault until clients had what they wanted; None where nobody waited.
    """

    fault: str
    runs: int
    acknowledged: int
    lost: int
    doubled: int
    leaked: int
    longest_recovery_seconds: float | None


class FaultReport:
    """Takes the rows of one test."""

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def conclude(
        self,
        fault: str,
        *,
        runs: int,
        ledger: Ledger,
        findings: Findings,
        longest_recovery_seconds: float | None = None,
    ) -> None:
        """Write the row, then fail when the checker has found anything.

        Raises:
            AssertionError: it has; the message says what.
        """
        row = FaultRow(
            fault=fault,
            runs=runs,
            acknowledged=ledger.acknowledged,
            lost=len(findings.lost + findings.damaged + findings.unreadable + findings.without_blob)
            + len(findings.unfinished + findings.disagreeing + findings.wrong),
            doubled=len(findings.doubled + findings.phantoms),
            leaked=len(findings.leaked),
            longest_recovery_seconds=longest_recovery_seconds,
        )
        self._properties.append((_PROPERTY, asdict(row)))
        assert not findings, f"{fault}: {findings}"


def fault_seed() -> int:
    """Return what makes a run of the fault tests the same as another: FAULT_SEED, or always the same."""
    return int(os.environ.get("FAULT_SEED", _DEFAULT_SEED))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, if any fault test has run, or leave its rows to the runs that follow."""
    if hasattr(terminalreporter.config, "workerinput"):
        return  # One of several processes, whose reports go to the one that started them.
    reports = [one for key in ("passed", "failed") for one in terminalreporter.getreports(key)]
    rows = [
        FaultRow(**value)
        for one in reports
        if one.when == "call"
        for name, value in one.user_properties
        if name == _PROPERTY
    ]
    if not rows:
        return
    if _ROWS_VARIABLE in os.environ:
        with Path(os.environ[_ROWS_VARIABLE]).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
        return
    terminalreporter.section(_title())
    for line in _table(_merged(rows)):
        terminalreporter.write_line(line)


def main() -> None:
    """Print the table of a file of rows."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.report", description=main.__doc__)
    parser.add_argument("file", type=Path)
    text = parser.parse_args().file.read_text(encoding="utf-8")
    rows = [FaultRow(**json.loads(line)) for line in text.splitlines()]
    sys.stdout.write("\n".join([f" {_title()} ".center(120, "="), *_table(_merged(rows)), ""]))


def _title() -> str:
    return f"faults (seed {fault_seed()}; FAULT_SEED chooses another)"


def _merged(rows: Iterable[FaultRow]) -> list[FaultRow]:
    merged: dict[str, FaultRow] = {}
    for row in rows:
        other = merged.get(row.fault)
        merged[row.fault] = row if other is None else _sum(other, row)
    return list(merged.values())


def _sum(one: FaultRow, other: FaultRow) -> FaultRow:
    recoveries = [row.longest_recovery_seconds for row in (one, other) if row.longest_recovery_seconds is not None]
    return FaultRow(
        fault=one.fault,
        runs=one.runs + other.runs,
        acknowledged=one.acknowledged + other.acknowledged,
        lost=one.lost + other.lost,
        doubled=one.doubled + other.doubled,
        leaked=one.leaked + other.leaked,
        longest_recovery_seconds=max(recoveries, default=None),
    )


def _table(rows: Iterable[FaultRow]) -> list[str]:
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    return ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]


def _cells(row: FaultRow) -> tuple[str, ...]:
    recovery = "-" if row.longest_recovery_seconds is None else f"{row.longest_recovery_seconds:.1f} s"
    counts = (row.runs, row.acknowledged, row.lost, row.doubled, row.leaked)
    return (row.fault, *map(str, counts), recovery)


if __name__ == "__main__":
    main()
