"""List the members of groups and projects. Source: lib/api/members.rb."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.access import is_admin
from shared.errors import RecordNotFound
from shared.models import Membership, UserId
from shared.pages import Page, PageRequest
from shared.ports.member_rows import MemberFilter, MemberSource
from shared.ports.metadata_store import MetadataStore
from shared.principals import SignedIn


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ListMembers:
    """List members to a caller who may see the group or project."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def direct(
        self,
        caller: SignedIn,
        source: MemberSource,
        page: PageRequest,
        *,
        search: str,
        user_ids: tuple[int, ...] | None,
    ) -> Page[Membership]:
        """Return a page of the source's own members, by ascending user id."""
        wanted = self._filter(caller, search, user_ids)
        async with self.store.reading() as rows:
            return await rows.members.direct(source, wanted, page)

    async def effective(
        self,
        caller: SignedIn,
        source: MemberSource,
        page: PageRequest,
        *,
        search: str,
        user_ids: tuple[int, ...] | None,
    ) -> Page[Membership]:
        """Return a page of all that have a level in the source, inherited or not, by ascending user id."""
        wanted = self._filter(caller, search, user_ids)
        async with self.store.reading() as rows:
            return await rows.members.effective(source, wanted, page)

    async def direct_one(self, source: MemberSource, user_id: UserId) -> Membership:
        """Return the user's direct membership.

        Raises:
            RecordNotFound: there is none.
        """
        async with self.store.reading() as rows:
            found = await rows.members.direct_one(source, user_id, now=self.now())
        if found is None:
            raise RecordNotFound
        return found

    async def effective_one(self, source: MemberSource, user_id: UserId) -> Membership:
        """Return the highest of the user's memberships.

        Raises:
            RecordNotFound: there is none.
        """
        async with self.store.reading() as rows:
            found = await rows.members.effective_one(source, user_id, now=self.now())
        if found is None:
            raise RecordNotFound
        return found

    def _filter(self, caller: SignedIn, search: str, user_ids: tuple[int, ...] | None) -> MemberFilter:
        # Nobody but administrators sees the addresses, so nobody else may find out about them piece by piece.
        return MemberFilter(now=self.now(), search=search, user_ids=user_ids, searches_emails=is_admin(caller))
