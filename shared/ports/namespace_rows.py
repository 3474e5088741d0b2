"""The part of the metadata port that is about groups and personal namespaces as one list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.models import AccessLevel, Namespace, UserId
from shared.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class NamespaceFilter:
    """Which namespaces a list has: those that fulfil all of this; None asks for nothing.

    Args:
        user_id: that user's own namespace, and the groups that he is a direct member of.
        lowest_level: the level that he has there at least.
        search: what name or full path contain, in whatever case as far as ASCII goes.
        is_top_level: those without a parent only.
    """

    user_id: UserId | None = None
    lowest_level: AccessLevel = AccessLevel.GUEST
    search: str | None = None
    is_top_level: bool = False


class NamespaceReads(Protocol):
    """Look up namespaces."""

    async def page(self, wanted: NamespaceFilter, page: PageRequest, *, now: datetime) -> Page[Namespace]:
        """Return a page of the namespaces that the filter lets through, oldest first.

        Args:
            now: when a membership must not have expired yet to count.
        """
        ...
