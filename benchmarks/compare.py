"""Two commits of Larder, beside each other on this machine."""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.corpus import build_corpus
from benchmarks.plan import Plan
from benchmarks.rounds import Rounds, say
from benchmarks.rows import ROWS
from benchmarks.servers.larder import fill, start_larder
from benchmarks.sources import short, source_of
from benchmarks.table import render_comparison


def compare(plan: Plan, directory: Path, commits: tuple[str, str]) -> str:
    """Measure both; return the table.

    Args:
        commits: names as git has them; "." is what is checked out here.
    """
    names = [f"{letter} ({short(commit)})" for letter, commit in zip("AB", commits, strict=True)]
    with ExitStack() as stack:
        say("building the corpus")
        corpus = build_corpus(directory / "corpus", plan.measurements)
        servers = []
        for name, letter, commit in zip(names, "AB", commits, strict=True):
            say(f"starting {name}")
            source = source_of(commit, directory / f"source-{letter}")
            servers.append(
                start_larder(stack, name, directory / f"larder-{letter}", source=source, settings=plan.settings)
            )
            fill(servers[-1], corpus)
        rounds = Rounds(plan, servers, directory / "uploads")
        table = render_comparison(ROWS, rounds.run(), names)
    return "\n".join([table, "", *rounds.notes])
