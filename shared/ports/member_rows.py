"""The part of the metadata port that is about the members of groups and projects.

Memberships past their expiry are as if they were not there. The owner of a personal namespace is, without a row, an
owner of each project in it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.models import AccessLevel, Membership, Namespace, Project, UserId
from shared.pages import Page, PageRequest

MemberSource = Namespace | Project
"""What has members: a group or a project."""


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Which members are wanted.

    Args:
        search: stands in the user's name or username, whatever the case of ASCII letters; "": any.
        searches_emails: it may stand in the email address, too.
        user_ids: only these; None: all.
        now: at which instant.
    """

    now: datetime
    search: str = ""
    user_ids: tuple[int, ...] | None = None
    searches_emails: bool = False


class MemberReads(Protocol):
    """Look up members."""

    async def direct(self, source: MemberSource, wanted: MemberFilter, page: PageRequest) -> Page[Membership]:
        """Return a page of the source's own members, by ascending user id."""
        ...

    async def effective(self, source: MemberSource, wanted: MemberFilter, page: PageRequest) -> Page[Membership]:
        """Return a page of the members of the source and of all it lies in, by ascending user id.

        Each user once, with the highest of the levels.
        """
        ...

    async def direct_one(self, source: MemberSource, user_id: UserId, *, now: datetime) -> Membership | None:
        """Return the user's direct membership, or None."""
        ...

    async def effective_one(self, source: MemberSource, user_id: UserId, *, now: datetime) -> Membership | None:
        """Return the highest of the user's memberships in the source and all it lies in, or None."""
        ...

    async def has_other_owner(self, group: Namespace, user_id: UserId, *, now: datetime) -> bool:
        """Return whether an active user other than this one owns the group, directly or through what it lies in."""
        ...

    async def next_end(self, user_id: UserId, *, now: datetime) -> datetime | None:
        """Return when the next of the user's memberships, wherever, comes to its end; None when none ever does."""
        ...


class MemberWrites(MemberReads, Protocol):
    """Change members."""

    async def lock(self, source: MemberSource) -> bool:
        """Make whoever changes members of the same source wait; False when the source is gone."""
        ...

    async def add(
        self,
        source: MemberSource,
        user_id: UserId,
        *,
        level: AccessLevel,
        expires_at: datetime | None,
        creator_id: UserId,
    ) -> datetime:
        """Make the user a direct member, in place of a membership that is past its expiry. The source is locked.

        Returns:
            When the membership began.
        """
        ...

    async def change(
        self, source: MemberSource, user_id: UserId, *, level: AccessLevel, expires_at: datetime | None
    ) -> bool:
        """Change the user's direct membership; False when there is no row of it."""
        ...

    async def remove(self, source: MemberSource, user_id: UserId) -> bool:
        """Remove the user's direct membership; False when there is no row of it."""
        ...

    async def remove_below(self, group: Namespace, user_id: UserId) -> int:
        """Remove the user's direct memberships in all groups and projects below the group; return how many."""
        ...
