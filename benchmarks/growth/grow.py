"""Growth as a whole: registries are made, measured and ended."""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.corpus import Corpus
from benchmarks.figures import Figures
from benchmarks.growth.measure import measure_answers, measure_targets
from benchmarks.growth.registry import SIZES, start_grown
from benchmarks.growth.table import render_growth
from benchmarks.rounds import say


def grow(corpus: Corpus, directory: Path, *, seconds: float) -> tuple[Figures, str]:
    """Return the figures of the rows that have a target, and a table of all."""
    directory.mkdir()
    with ExitStack() as stack:
        registries = []
        for size in SIZES:
            say(f"growing a registry to {size.packages:,} packages")
            registries.append(start_grown(stack, size, directory / str(size.packages), corpus))
        say("growth")
        figures = measure_targets(registries, seconds=seconds)
        return figures, render_growth(measure_answers(registries, seconds=seconds / 2), SIZES)
