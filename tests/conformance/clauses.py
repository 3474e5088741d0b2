"""What a clause of a standard is here, and how it is checked."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.conformance.reader import Index


class Demand(StrEnum):
    """How strongly the standard puts it (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Outcome(StrEnum):
    """What became of a check."""

    KEPT = "kept"
    BROKEN = "broken"
    ABSENT = "absent"


class AbsentError(Exception):
    """The index has nothing that the clause speaks of."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One demand of one standard.

    Args:
        source: "PEP 503" or "RFC 9110 14.1.2".
        text: the demand, in our words.
        check: raises AssertionError where it is broken, AbsentError where there is nothing to check.
    """

    source: str
    demand: Demand
    text: str
    check: Callable[[Index], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """A clause with what was found."""

    clause: Clause
    outcome: Outcome
    reason: str


Check = Callable[[Index], None]


class Clauses(list[Clause]):
    """Clauses in the order in which they are written down."""

    def must(self, source: str, text: str) -> Callable[[Check], Check]:
        """Note a demand that no index may break."""
        return self._noted(source, Demand.MUST, text)

    def should(self, source: str, text: str) -> Callable[[Check], Check]:
        """Note a demand that an index needs a reason to break."""
        return self._noted(source, Demand.SHOULD, text)

    def may(self, source: str, text: str) -> Callable[[Check], Check]:
        """Note what an index may do."""
        return self._noted(source, Demand.MAY, text)

    def _noted(self, source: str, demand: Demand, text: str) -> Callable[[Check], Check]:
        def note(check: Check) -> Check:
            self.append(Clause(source=source, demand=demand, text=text, check=check))
            return check

        return note


def find(clause: Clause, index: Index) -> Finding:
    """Check one clause."""
    try:
        clause.check(index)
    except AbsentError as absent:
        return Finding(clause, Outcome.ABSENT, str(absent))
    except (AssertionError, KeyError, ValueError, TypeError) as broken:
        # A page of another shape than the standard's breaks the clause, however that comes out.
        return Finding(clause, Outcome.BROKEN, f"{type(broken).__name__}: {broken}".partition("\n")[0])
    return Finding(clause, Outcome.KEPT, "")


def table(findings: list[Finding]) -> str:
    """Return the findings as a table for people."""
    rows = [
        (one.clause.source, one.clause.demand, one.outcome, f"{one.clause.text}{f' ({one.reason})' * bool(one.reason)}")
        for one in findings
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    )
