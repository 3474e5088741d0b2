"""How many uploads somebody has under way in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.api.problems import TooManyUploads


@dataclass(slots=True)
class UploadSlots:
    """Gives each principal so many slots, so that nobody fills disk and connections with uploads that never end."""

    most: int
    taken: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def take(self, actor: str) -> Iterator[None]:
        """Hold a slot while the block runs.

        Args:
            actor: as `actor_of` names them.

        Raises:
            TooManyUploads: all are taken.
        """
        if self.taken[actor] >= self.most:
            raise TooManyUploads(self.most)
        self.taken[actor] += 1
        try:
            yield
        finally:
            self.taken[actor] -= 1
            if not self.taken[actor]:
                del self.taken[actor]
