"""The part of the metadata port that counts what the whole registry holds, for those who watch it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.models import PackageFileStatus, PackageStatus


@dataclass(frozen=True, slots=True)
class RegistryTotals:
    """What all projects hold together.

    Args:
        packages: how many packages there are in each status that any is in; of those in `default` about how many, where
            a database has more than a hundred thousand and reckons faster than it counts.
        files: likewise, of package files.
        stored_bytes: what the files hold, but for those in `pending_destruction`.
        waiting_since: when the file was uploaded that has waited for its verdict the longest; None when none waits.
        doomed_since: when the file was deleted whose bytes have waited for their removal the longest; None likewise.
    """

    packages: Mapping[PackageStatus, int]
    files: Mapping[PackageFileStatus, int]
    stored_bytes: int
    waiting_since: datetime | None
    doomed_since: datetime | None


class TotalsReads(Protocol):
    """Count."""

    async def registry(self) -> RegistryTotals:
        """Count everything; a database that cannot reckon reads tables from end to end, so ask rarely."""
        ...
