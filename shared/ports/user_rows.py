"""The part of the metadata port that is about users as a list, and about whether they may sign in."""

from dataclasses import dataclass
from typing import Protocol

from shared.models import User, UserId, UserState
from shared.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users a list has: those that fulfil all of this; None asks for nothing.

    Args:
        username: the whole name, in whatever case.
        search: what username or name contain, in whatever case as far as ASCII goes.
        searches_emails: what is searched for may be part of the email address, too.
        states: one of these.
    """

    username: str | None = None
    search: str | None = None
    searches_emails: bool = False
    states: frozenset[UserState] = frozenset(UserState)
    is_external: bool | None = None


class UserReads(Protocol):
    """Look up users."""

    async def page(self, wanted: UserFilter, page: PageRequest) -> Page[User]:
        """Return a page of the users that the filter lets through, newest first."""
        ...

    async def by_email(self, email: str) -> User | None:
        """Return the user of this email address (case-insensitive), or None."""
        ...


class UserWrites(UserReads, Protocol):
    """Change users."""

    async def set_state(self, user_id: UserId, state: UserState, *, source: UserState) -> bool:
        """Move the user from one state to another; return False when it is not in the first one."""
        ...
