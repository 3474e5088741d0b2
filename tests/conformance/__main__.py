"""Check any simple index: python -m tests.conformance URL PROJECT [--user NAME:PASSWORD]."""

import argparse
import sys

from tests.conformance import pages, transfer
from tests.conformance.clauses import Demand, Outcome, find, table
from tests.conformance.reader import Index


def main() -> int:
    """Print a table of all clauses; 1 when a MUST is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("url", help="of the index, such as https://host/simple/")
    parser.add_argument("project", help="a project of it that has files, by its normalized name")
    parser.add_argument("--user", help="NAME:PASSWORD for HTTP Basic")
    wanted = parser.parse_args()
    name, _, password = (wanted.user or "").partition(":")
    index = Index(f"{wanted.url.rstrip('/')}/", wanted.project, (name, password) if wanted.user else None)
    findings = [find(clause, index) for clause in (*pages.CLAUSES, *transfer.CLAUSES)]
    sys.stdout.write(f"{table(findings)}\n")
    return any(one.outcome is Outcome.BROKEN and one.clause.demand is Demand.MUST for one in findings)


if __name__ == "__main__":
    sys.exit(main())
