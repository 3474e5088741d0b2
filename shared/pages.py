"""Lists that are handed out page by page, counted from 1."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

COUNTED_AT_MOST = 10_000
"""Longer lists are not counted to their end (GitLab's offset pagination)."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list is wanted.

    Args:
        number: from 1 on.
        size: how many entries a page has.
    """

    number: int
    size: int

    @property
    def offset(self) -> int:
        """Return how many entries come before the page."""
        return (self.number - 1) * self.size


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list.

    Args:
        entries: in the list's order; empty past its end.
        total: how many entries the whole list has; None when it is more than `COUNTED_AT_MOST`.
        has_more: there are entries behind this page.
    """

    entries: tuple[T, ...]
    total: int | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list that is sorted by id, newest first.

    Args:
        id: of the entry beside which the wanted ones stand.
        is_backward: they stand before it; else behind it.
    """

    id: int
    is_backward: bool = False


@dataclass(frozen=True, slots=True)
class Stretch(Generic[T]):
    """Some entries of a list that is not counted, only followed from one to the next.

    Args:
        entries: in the list's order.
        next: where those behind them are found, or None when these are the last.
    """

    entries: tuple[T, ...]
    next: Cursor | None
