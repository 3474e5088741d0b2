"""The port to the inspection of uploaded archives, which happens behind a process boundary."""

from pathlib import Path
from typing import Protocol

from shared.models import CoreMetadata


class DistributionInspector(Protocol):
    """Reads core metadata out of archives that may be hostile."""

    async def inspect(self, path: Path, *, file_name: str) -> CoreMetadata:
        """Open the distribution at `path` in a process with its own limits and return its core metadata.

        Args:
            path: where the bytes are on this machine.
            file_name: what it was uploaded as; it says whether to read a wheel or an sdist.

        Raises:
            DistributionRejected: it is no readable distribution, or it needs more memory, time or entries than
                the limits allow; the reason is for the person who built it.
        """
        ...
