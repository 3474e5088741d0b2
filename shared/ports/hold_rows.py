"""The part of the metadata port that keeps blobs from being destroyed while a backup copies them.

A hold ends by itself, so that a backup that died holds nothing for ever.
"""

from datetime import datetime, timedelta
from typing import NewType, Protocol

HoldId = NewType("HoldId", int)

LONGEST_HOLD = timedelta(minutes=10)
"""No hold is placed or renewed for longer; one that ends later is none, because some clock has jumped."""


class HoldReads(Protocol):
    """Ask for holds."""

    async def is_destruction_held(self, *, now: datetime) -> bool:
        """Say whether blobs must stay where they are at the moment."""
        ...


class HoldWrites(HoldReads, Protocol):
    """Place holds and lift them."""

    async def hold_destruction(self, holder: str, *, now: datetime, until: datetime) -> HoldId:
        """Have all blobs stay until then, and forget the holds that are over.

        Args:
            holder: who does so, for people: "larder backup on host, process 7".
        """
        ...

    async def renew_hold(self, hold_id: HoldId, *, now: datetime, until: datetime) -> bool:
        """Move the end of a hold that is in force; False when it has ended, and then blobs may be gone."""
        ...

    async def lift_hold(self, hold_id: HoldId) -> None:
        """End the hold. Idempotent."""
        ...
