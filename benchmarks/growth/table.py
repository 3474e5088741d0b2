"""The growth table: what an answer costs in registries of different sizes."""

import statistics
from collections.abc import Sequence

from benchmarks.growth.measure import Milliseconds
from benchmarks.growth.registry import Size
from benchmarks.table import lines_of, number


def render_growth(found: Milliseconds, sizes: Sequence[Size]) -> str:
    """Return medians in milliseconds, and the ratio of the largest registry to the smallest."""
    heads = ["ms", *(f"{size.packages:,} / {size.projects:,} / {size.tokens:,}" for size in sizes), "last / first"]
    rows = []
    for (title, state), of_registries in found.items():
        medians = [statistics.median(times) for times in of_registries]
        rows.append([f"{title}, {state}", *map(number, medians), number(medians[-1] / medians[0])])
    return "Packages in the project / projects in the group / tokens:\n\n" + lines_of(heads, rows)
