"""The part of the metadata port that is about looking at stored bytes again.

A scrub takes files by compare-and-set, so that no two look at the same one, and for a bounded time, so that what a
killed scrub had taken is taken again.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from shared.models import PackageFile, PackageFileId, PackageFileStatus

LONGEST_SCRUB_HOLD = timedelta(days=1)
"""No file is held for longer; a hold that ends later is none, because some clock has jumped."""


class ScrubReads(Protocol):
    """Look up which files are due."""

    async def due(self, *, verified_before: datetime, now: datetime, limit: int) -> tuple[PackageFile, ...]:
        """Return `default` files that were not verified since then and that no scrub holds.

        Those that never were come first, then those that wait longest.
        """
        ...


class ScrubWrites(ScrubReads, Protocol):
    """Take files, and note what was found. All of it but `damage_file` is bookkeeping and bumps no counter.

    Here `due` leaves out what another transaction is about to take, and keeps others from what it returns.
    """

    async def take_due(
        self, file_ids: Sequence[PackageFileId], *, verified_before: datetime, now: datetime, until: datetime
    ) -> tuple[PackageFile, ...]:
        """Hold those of the files that are still due, as `due` has it, until then; return them by ascending id."""
        ...

    async def note_verified(self, file_ids: Collection[PackageFileId], *, at: datetime) -> int:
        """Note that the bytes of these files were whole then, and let go of them; return how many there were.

        One that is being changed at this moment may be left out, and is due again when its hold is over.
        """
        ...

    async def put_off(self, file_id: PackageFileId, *, until: datetime) -> bool:
        """Let no scrub take the file before then; False when it is not `default`."""
        ...

    async def damage_file(self, file_id: PackageFileId, *, reason: str, source: frozenset[PackageFileStatus]) -> bool:
        """Move the file to `error`, with a reason for people; its package is locked.

        A package that is `default` or `processing` and has no file left that is either becomes `error` with it. What
        somebody has hidden or deprecated stays so.

        Returns:
            False when its status was not in `source`.
        """
        ...
