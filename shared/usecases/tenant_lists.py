"""List groups and projects, as far as the caller may see them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.models import AccessLevel, Namespace, NamespaceId, Project, Visibility
from shared.pages import Page, PageRequest
from shared.ports.metadata_store import MetadataStore
from shared.ports.tenant_lists import (
    GroupFilter,
    GroupOrder,
    GroupReach,
    ProjectFilter,
    ProjectOrder,
    ProjectReach,
    ProjectStanding,
)
from shared.principals import Principal, SignedIn
from shared.usecases.tenant_admission import viewer_of


@dataclass(frozen=True, slots=True)
class GroupQuery:
    """Which groups a caller wants.

    Args:
        is_owned: only those that the caller owns.
        all_available: all that the caller may see, and not only those that the caller belongs to; None: as GitLab
            chooses, which is all for administrators.
    """

    search: str
    visibility: Visibility | None
    is_owned: bool
    min_access_level: AccessLevel | None
    is_top_level_only: bool
    skipped_ids: tuple[int, ...]
    all_available: bool | None
    order: GroupOrder
    is_descending: bool


@dataclass(frozen=True, slots=True)
class ProjectQuery:
    """Which projects a caller wants.

    Args:
        is_owned: only those that the caller owns.
        is_membership: only those that the caller is a member of.
        matches_nothing: asked for is what no project here ever is: archived, or of a topic.
    """

    search: str
    visibility: Visibility | None
    is_owned: bool
    is_membership: bool
    min_access_level: AccessLevel | None
    matches_nothing: bool
    order: ProjectOrder
    is_descending: bool


@dataclass(frozen=True, slots=True)
class ListGroups:
    """List groups."""

    store: MetadataStore

    async def everywhere(self, principal: Principal, query: GroupQuery, page: PageRequest) -> Page[Namespace]:
        """Return a page of the groups that the caller may see; of those who belong to some, only these.

        Source: lib/api/groups.rb, app/finders/groups_finder.rb.
        """
        reach = GroupReach.TOP_LEVEL if query.is_top_level_only else GroupReach.EVERYWHERE
        return await self._page(
            principal, query, page, reach=reach, parent_id=None, is_own=_wants_own(principal, query)
        )

    async def below(
        self, principal: Principal, parent: Namespace, query: GroupQuery, page: PageRequest, *, reach: GroupReach
    ) -> Page[Namespace]:
        """Return a page of the groups below this one, as `everywhere` does."""
        return await self._page(
            principal, query, page, reach=reach, parent_id=parent.id, is_own=_wants_own(principal, query)
        )

    async def _page(
        self,
        principal: Principal,
        query: GroupQuery,
        page: PageRequest,
        *,
        reach: GroupReach,
        parent_id: NamespaceId | None,
        is_own: bool,
    ) -> Page[Namespace]:
        wanted = GroupFilter(
            viewer=viewer_of(principal, datetime.now(UTC)),
            reach=reach,
            parent_id=parent_id,
            search=query.search,
            visibility=query.visibility,
            lowest_level=_lowest(query.min_access_level, is_owned=query.is_owned),
            is_own=is_own,
            skipped_ids=query.skipped_ids,
            order=query.order,
            is_descending=query.is_descending,
        )
        async with self.store.reading() as rows:
            return await rows.tenant_lists.groups(wanted, page)


@dataclass(frozen=True, slots=True)
class ListProjects:
    """List projects, each with what the caller is in it."""

    store: MetadataStore

    async def everywhere(self, principal: Principal, query: ProjectQuery, page: PageRequest) -> Page[ProjectStanding]:
        """Return a page of the projects that the caller may see. Source: lib/api/projects.rb."""
        return await self._page(principal, query, page, reach=ProjectReach.EVERYWHERE, namespace_id=None)

    async def below(
        self, principal: Principal, group: Namespace, query: ProjectQuery, page: PageRequest, *, reach: ProjectReach
    ) -> Page[ProjectStanding]:
        """Return a page of the projects of this group that the caller may see. Source: lib/api/groups.rb."""
        return await self._page(principal, query, page, reach=reach, namespace_id=group.id)

    async def standing(self, principal: Principal, project: Project) -> ProjectStanding:
        """Return the project with what the caller is in it."""
        async with self.store.reading() as rows:
            return await rows.tenant_lists.standing(project, viewer_of(principal, datetime.now(UTC)))

    async def _page(
        self,
        principal: Principal,
        query: ProjectQuery,
        page: PageRequest,
        *,
        reach: ProjectReach,
        namespace_id: NamespaceId | None,
    ) -> Page[ProjectStanding]:
        if query.matches_nothing:
            return Page(entries=(), total=0, has_more=False)
        is_member = AccessLevel.GUEST if query.is_membership else None
        wanted = ProjectFilter(
            viewer=viewer_of(principal, datetime.now(UTC)),
            reach=reach,
            namespace_id=namespace_id,
            search=query.search,
            visibility=query.visibility,
            lowest_level=_lowest(query.min_access_level or is_member, is_owned=query.is_owned),
            order=query.order,
            is_descending=query.is_descending,
        )
        async with self.store.reading() as rows:
            return await rows.tenant_lists.projects(wanted, page)


def _lowest(level: AccessLevel | None, *, is_owned: bool) -> AccessLevel | None:
    return AccessLevel.OWNER if is_owned else level


def _wants_own(principal: Principal, query: GroupQuery) -> bool:
    """Say whether only groups of the caller are wanted: of those who belong to some, unless they say otherwise."""
    is_ordinary = isinstance(principal, SignedIn) and not principal.user.is_admin
    return is_ordinary and not query.all_available
