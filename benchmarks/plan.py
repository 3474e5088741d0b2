"""What is measured, how often and for how long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run measures.

    Args:
        measurements: their names, in this order.
        seconds: of each load.
        settings: LARDER_* of every Larder that is measured, beyond what `make run` has.
        answers: that are looked at for a stale one; 0 for none.
    """

    measurements: Sequence[str]
    rounds: int
    seconds: int
    peers: Sequence[str] = ()
    has_postgresql: bool = False
    answers: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
