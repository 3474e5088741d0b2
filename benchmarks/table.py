"""The tables: absolute figures of all servers, ratios, what was wanted and whether it was met."""

from collections.abc import Mapping, Sequence

from benchmarks.figures import Figure
from benchmarks.rows import Row

Medians = Mapping[tuple[str, str], Figure]
"""By row and server."""
_NONE = "-"
_PARTS = (("cpu_each", 1e6), ("memory", 1 / (1 << 20)), ("generator_cores", 1.0))
"""What is told of two servers beside their figures, and the factor to the unit that it is told in."""


def render(rows: Sequence[Row], medians: Medians, servers: Sequence[str], *, base: str, subject: str) -> str:
    """Return the table of the targets in Markdown.

    Args:
        servers: their names, in the order of the columns.
        base: what the subject is compared with.
    """
    heads = ["", *servers, f"{subject} / {base}", "target", "moonshot", "", *_part_heads(base, subject)]
    lines = [_line(heads), _line(["---", *["---:"] * (len(servers) + 3), "---", *["---:"] * 6])]
    for row in _measured(rows, medians):
        own, other = medians.get((row.key, subject)), medians.get((row.key, base))
        lines.append(
            _line(
                [
                    *_figures(row, medians, servers),
                    number(ratio(own, other)),
                    *_wanted(row),
                    verdict(row, own, other),
                    *_parts(other, own),
                ]
            )
        )
    return "\n".join(lines)


def render_comparison(rows: Sequence[Row], medians: Medians, servers: Sequence[str]) -> str:
    """Return the table of two servers in Markdown, with the ratio of the second to the first."""
    first, second = servers
    lines = [_line(["", *servers, "B / A", "", *_part_heads("A", "B")])]
    lines.append(_line(["---", *["---:"] * 3, "---", *["---:"] * 6]))
    for row in _measured(rows, medians):
        before, after = medians.get((row.key, first)), medians.get((row.key, second))
        direction = "more is better" if row.more_is_better else "less is better"
        cells = [*_figures(row, medians, servers), number(ratio(after, before)), direction, *_parts(before, after)]
        lines.append(_line(cells))
    return "\n".join(lines)


def verdict(row: Row, own: Figure | None, base: Figure | None) -> str:
    """Return whether the row's target was met; nothing where that cannot be told."""
    compared = ratio(own, base) if row.goal.of_base else own.value if own else None
    if compared is None or row.goal.target is None:
        return _NONE
    for wanted, word in ((row.goal.moonshot, "moonshot"), (row.goal.target, "met")):
        if wanted is not None and (compared >= wanted if row.more_is_better else compared <= wanted):
            return word
    return "**missed**"


def ratio(figure: Figure | None, base: Figure | None) -> float | None:
    """Return the figure as a part of the base's."""
    return figure.value / base.value if figure and base and base.value else None


def number(value: float | None) -> str:
    """Return it with about three digits that say something."""
    if value is None:
        return _NONE
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def lines_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return any table in Markdown: a column of words, and others of numbers."""
    return "\n".join([_line(heads), _line(["---", *["---:"] * (len(heads) - 1)]), *map(_line, rows)])


def _measured(rows: Sequence[Row], medians: Medians) -> list[Row]:
    keys = {key for key, _ in medians}
    return [row for row in rows if row.key in keys]


def _figures(row: Row, medians: Medians, servers: Sequence[str]) -> list[str]:
    found = (medians.get((row.key, server)) for server in servers)
    return [f"{row.title}, {row.unit}", *(number(figure.value if figure else None) for figure in found)]


def _part_heads(first: str, second: str) -> list[str]:
    titles = ("CPU us each", "largest process MB", "load generator, cores")
    return [head for title in titles for head in (f"{title}: {first}", second)]


def _parts(first: Figure | None, second: Figure | None) -> list[str]:
    told = [
        (getattr(figure, part) if figure else None, factor) for part, factor in _PARTS for figure in (first, second)
    ]
    return [number(None if value is None else value * factor) for value, factor in told]


def _wanted(row: Row) -> list[str]:
    sign = "" if row.more_is_better else "≤ "
    unit = "x" if row.goal.of_base else f" {row.unit}"
    return [_NONE if one is None else f"{sign}{one:g}{unit}" for one in (row.goal.target, row.goal.moonshot)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
