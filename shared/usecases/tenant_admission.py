"""Let callers in to groups and projects themselves: to see, to change, or to delete them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.access import (
    is_admin,
    is_insider,
    may_administer_group,
    may_administer_project,
    may_delete_project,
    may_read_group,
    may_read_group_deploy_tokens,
    may_read_project,
)
from shared.errors import Forbidden, NotFound
from shared.models import InstanceSettings
from shared.ports.metadata_store import MetadataStore, Reading
from shared.ports.tenant_lists import Viewer
from shared.principals import Principal, SignedIn
from shared.usecases.standing import is_member_below, level_in_group, level_in_project
from shared.usecases.visits import (
    GroupRef,
    GroupVisit,
    ProjectRef,
    Visit,
    find_group,
    find_project,
    group_or_none_at_all,
    project_or_none_at_all,
)


def viewer_of(principal: Principal, now: datetime) -> Viewer:
    """Return whom lists are made for."""
    return Viewer(
        user_id=principal.user.id if isinstance(principal, SignedIn) else None,
        sees_internal=is_insider(principal),
        sees_all=is_admin(principal),
        now=now,
    )


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class TenantAdmission:
    """Admits callers, who are known already, to groups and projects.

    Args:
        defaults: the settings of the instance where no administrator has decided otherwise.
        now: the clock, in UTC.
    """

    store: MetadataStore
    defaults: InstanceSettings
    now: Callable[[], datetime] = _now

    async def to_group(self, ref: GroupRef | None, principal: Principal) -> GroupVisit:
        """Admit a reader of the group.

        Raises:
            NotFound: "Group": there is none, or none for this caller.
        """
        async with self.store.reading() as rows:
            visit = await self._group(rows, ref, principal)
        if visit is None:
            raise NotFound("Group")
        return visit

    async def to_administer_group(self, ref: GroupRef | None, principal: Principal) -> GroupVisit:
        """Admit an owner of the group.

        Raises:
            NotFound: as `to_group`.
            Forbidden: the caller may see it, but does not own it.
        """
        visit = await self.to_group(ref, principal)
        if not may_administer_group(principal, visit.level):
            raise Forbidden
        return visit

    async def to_deploy_tokens_of_group(self, ref: GroupRef | None, principal: Principal) -> GroupVisit:
        """Admit a maintainer of the group, who may see its deploy tokens.

        Raises:
            NotFound: as `to_group`.
            Forbidden: the caller may see it, but not its deploy tokens.
        """
        visit = await self.to_group(ref, principal)
        if not may_read_group_deploy_tokens(principal, visit.level):
            raise Forbidden
        return visit

    async def to_project(self, ref: ProjectRef | None, principal: Principal) -> Visit:
        """Admit a reader of the project.

        Raises:
            NotFound: "Project": there is none, or none for this caller.
        """
        async with self.store.reading() as rows:
            visit = await self._project(rows, ref, principal)
        if visit is None:
            raise NotFound("Project")
        return visit

    async def to_administer_project(self, ref: ProjectRef | None, principal: Principal) -> Visit:
        """Admit a maintainer of the project.

        Raises:
            NotFound: as `to_project`.
            Forbidden: the caller may see it, but not change it.
        """
        visit = await self.to_project(ref, principal)
        if not may_administer_project(principal, visit.level):
            raise Forbidden
        return visit

    async def to_delete_project(self, ref: ProjectRef | None, principal: Principal) -> Visit:
        """Admit an owner of the project.

        Raises:
            NotFound: as `to_project`.
            Forbidden: the caller may see it, but not delete it.
        """
        visit = await self.to_project(ref, principal)
        if not may_delete_project(principal, visit.level):
            raise Forbidden
        return visit

    async def _group(self, rows: Reading, ref: GroupRef | None, principal: Principal) -> GroupVisit | None:
        found = await find_group(rows, ref)
        group = group_or_none_at_all(found)
        now = self.now()
        visit = GroupVisit(
            principal=principal,
            group=group,
            level=await level_in_group(rows, principal, group, now=now),
            is_member_below=await is_member_below(rows, principal, group, now=now),
            settings=await rows.settings.read(self.defaults),
        )
        is_open = may_read_group(principal, group, visit.level, is_member_below=visit.is_member_below)
        return visit if found is not None and is_open else None

    async def _project(self, rows: Reading, ref: ProjectRef | None, principal: Principal) -> Visit | None:
        found = await find_project(rows, ref)
        project = project_or_none_at_all(found)
        level = await level_in_project(rows, principal, project, now=self.now())
        if found is None or not may_read_project(principal, project, level):
            return None
        settings = await rows.settings.read(self.defaults)
        return Visit(principal=principal, project=project, level=level, settings=settings)
