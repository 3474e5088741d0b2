"""What was measured: one figure a server, a row and a round, and the medians of the rounds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Figure:
    """What one round says of a row.

    Args:
        value: in the unit of the row.
        cpu_each: seconds of a processor that the server used for one request.
        memory: bytes that its largest process held.
        generator_cores: how many processors the load generator kept busy.
    """

    value: float
    cpu_each: float | None = None
    memory: float | None = None
    generator_cores: float | None = None


Figures = Mapping[str, Figure]
"""By the name of the row."""


def median(rounds: Sequence[Figure]) -> Figure:
    """Return the median of each of the figure's parts; a part that a round does not tell is none."""
    parts: dict[str, float | None] = {}
    for field in fields(Figure):
        told = [part for figure in rounds if (part := getattr(figure, field.name)) is not None]
        parts[field.name] = statistics.median(told) if told else None
    value = parts.pop("value")
    assert value is not None
    return Figure(value, **parts)
