"""The rows of the table, and what is wanted of each."""

from dataclasses import dataclass

GROWTH = "growth"
"""What is measured in registries of its own, after the rounds."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What Larder's figure is to be.

    Args:
        of_base: it is the ratio to the base's figure in the same run; otherwise the figure itself.
        target, moonshot: at least this, where more is better; at most this, where less is. None: there is none.
    """

    of_base: bool
    target: float | None = None
    moonshot: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A kind of figure.

    Args:
        measurement: the name of what gives it; several rows may come from one.
        more_is_better: it is a rate, not a cost.
    """

    key: str
    title: str
    unit: str
    measurement: str
    more_is_better: bool
    goal: Goal


def _rate(key: str, title: str, target: float, moonshot: float, unit: str = "req/s") -> Row:
    return Row(key, title, unit, key, more_is_better=True, goal=Goal(of_base=True, target=target, moonshot=moonshot))


def _cost(
    key: str, title: str, unit: str, measurement: str, *, target: float, moonshot: float | None, of_base: bool = False
) -> Row:
    return Row(key, title, unit, measurement, more_is_better=False, goal=Goal(of_base, target, moonshot))


ROWS = (
    _rate("html", "small page, HTML", 0.35, 1.0),
    _rate("json", "small page, JSON", 0.35, 1.0),
    _rate("big", "500-version page", 0.6, 1.2),
    _rate("same", "304", 0.35, 1.0),
    _rate("metadata", "`.metadata`", 0.35, 1.0),
    _rate("wheel", "8 KB wheel", 0.35, 1.0),
    _rate("large", "200 MB wheel, 8 clients", 0.75, 0.95, unit="MB/s"),
    _cost("large-cpu", "200 MB wheel, CPU", "s/GB", "large", target=1.8, moonshot=1.2, of_base=True),
    _cost("p99", "small page, p99 at 32 connections", "ms", "html", target=3.0, moonshot=None, of_base=True),
    _cost("upload", "200 MB upload", "s", "upload", target=3.0, moonshot=2.0, of_base=True),
    _cost("upload-rise", "200 MB upload, RSS rise", "MB", "upload", target=16, moonshot=8),
    Row(
        "small-uploads",
        "small uploads, 8 clients",
        "/s",
        "small-uploads",
        more_is_better=True,
        goal=Goal(of_base=False, target=300, moonshot=800),
    ),
    Row(
        "small-upload", "small upload, one client", "ms", "small-uploads", more_is_better=False, goal=Goal(of_base=True)
    ),
    _cost("idle-memory", "idle memory, one (API) process", "MB", "start", target=70, moonshot=50),
    _cost("start", "start to first answer", "s", "start", target=1.5, moonshot=0.7),
    _cost("group-growth", "group of 1,000 projects, page", "x of one of 1", GROWTH, target=1.3, moonshot=1.0),
    _cost("package-growth", "100,000 packages, page", "x of 1,000", GROWTH, target=1.2, moonshot=1.0),
    _cost("install", "`uv pip install` of 50 packages", "s", "install", target=1.1, moonshot=1.0, of_base=True),
)
MEASUREMENTS = tuple(dict.fromkeys(row.measurement for row in ROWS))
