"""The table: absolute figures of all servers, the ratio to the base's, what was wanted and whether it was met."""

from collections.abc import Mapping, Sequence

from benchmarks.figures import Figure
from benchmarks.rows import Goal, Row

Medians = Mapping[tuple[str, str], Figure]
"""By row and server."""
_NONE = "-"


def verdict(row: Row, figure: float, base: float | None) -> str:
    """Return whether the row's target was met; nothing where that cannot be told."""
    compared = figure if not row.goal.of_base else ratio(figure, base)
    if compared is None or row.goal.target is None:
        return _NONE
    if row.goal.moonshot is not None and _reaches(row, compared, row.goal.moonshot):
        return "moonshot"
    return "met" if _reaches(row, compared, row.goal.target) else "**missed**"


def _reaches(row: Row, figure: float, wanted: float) -> bool:
    return figure >= wanted if row.more_is_better else figure <= wanted


def ratio(figure: float, base: float | None) -> float | None:
    """Return the figure as a part of the base's."""
    return figure / base if base else None


def render(rows: Sequence[Row], medians: Medians, servers: Sequence[str], *, base: str, subject: str) -> str:
    """Return the table in Markdown.

    Args:
        servers: their names, in the order of the columns.
        base: what the subject is compared with.
    """
    heads = ["", *servers, f"{subject} / {base}", "target", "moonshot", ""]
    heads += [f"CPU us each: {base}", subject, f"largest process MB: {base}", subject]
    heads += [f"load, cores: {base}", subject]
    lines = [_line(heads), _line(["---", *["---:"] * (len(servers) + 3), "---", *["---:"] * 6])]
    lines += [_row(row, medians, servers, base, subject) for row in rows if _is_measured(row, medians)]
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Return it with about three digits that say something."""
    if value is None:
        return _NONE
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _is_measured(row: Row, medians: Medians) -> bool:
    return any(key == row.key for key, _ in medians)


def _row(row: Row, medians: Medians, servers: Sequence[str], base: str, subject: str) -> str:
    found = {server: medians.get((row.key, server)) for server in servers}
    own, other = found.get(subject), found.get(base)
    compared = ratio(own.value, other.value if other else None) if own else None
    cells = [f"{row.title}, {row.unit}", *(number(figure.value if figure else None) for figure in found.values())]
    cells += [number(compared), *_wanted(row, row.goal)]
    cells.append(verdict(row, own.value, other.value if other else None) if own else _NONE)
    for part, factor in (("cpu_each", 1e6), ("memory", 1 / (1 << 20)), ("generator_cores", 1)):
        for figure in (other, own):
            told = getattr(figure, part) if figure else None
            cells.append(number(None if told is None else told * factor))
    return _line(cells)


def _wanted(row: Row, goal: Goal) -> list[str]:
    sign = "" if row.more_is_better else "≤ "
    unit = "x" if goal.of_base else f" {row.unit}"
    return [_NONE if one is None else f"{sign}{one:g}{unit}" for one in (goal.target, goal.moonshot)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
