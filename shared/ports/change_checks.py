"""The port by which a process asks whether what it derived from rows still holds.

Every write bumps, in its own transaction, the counters of the scopes in which a reader could see something else from
then on. So what was derived from rows holds for as long as the counters are those that were read with the rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from shared.models import CounterScope

Scope = tuple[CounterScope, int]
"""What a change counter counts changes of: a project and its id, for one."""

INSTANCE: Scope = (CounterScope.INSTANCE, 0)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Stamps:
    """The counters of all that something was derived from, read in the very snapshot that its rows were read in.

    One that was read before its rows is good, too; one read after them would call a stale value fresh.

    Args:
        read_at: by the monotonic clock, in seconds.
    """

    counters: Mapping[Scope, int]
    read_at: float = field(default_factory=monotonic)

    @classmethod
    def of_all(cls, parts: Iterable["Stamps"]) -> "Stamps | None":
        """Return the stamps of what was derived from all of this; None when some of it has changed in between."""
        counters: dict[Scope, int] = {}
        read_at = monotonic()
        for part in parts:
            if any(counters.setdefault(*one) != one[1] for one in part.counters.items()):
                return None
            read_at = min(read_at, part.read_at)
        return cls(counters, read_at)


class ChangeChecks(Protocol):
    """Reads change counters outside of any transaction: one that is left open would show their old values for ever."""

    async def hold(self, stamps: Stamps) -> bool:
        """Say whether all counters still have these values, by a look at the primary that began after this call.

        Requests that wait at once may share a look. Whatever was committed before the call, by any process, is seen.

        Returns:
            False, too, when that cannot be said now: whoever asks has to read the rows then. Nor can it be said of what
            was read before the connection was lost, because the database may be another since: a standby that had not
            got the last changes, or one that was restored, counts the next ones with the same numbers again.
        """
        ...

    def hold_at_once(self, stamps: Sequence[Stamps]) -> list[bool] | None:
        """Say of each whether `hold` would say so, by one look for all of them that begins with this call.

        Returns:
            None when nothing can be said without waiting; then `hold` has to be asked.
        """
        ...
