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
    may_read_project,
)
from shared.errors import Forbidden, NotFound
from shared.models import AccessLevel, InstanceSettings, Namespace, NamespaceId, NamespaceKind, Principal, SignedIn
from shared.ports.metadata_store import MetadataStore, Reading
from shared.ports.tenant_lists import Viewer
from shared.usecases.admission import ProjectRef, Visit

_LARGEST_ID = 2**63 - 1

GroupRef = NamespaceId | str
"""A group as a URL names it: by number, or by full path."""


def parse_group_ref(text: str) -> GroupRef | None:
    """Return what the `:id` of a URL refers to; None for what no group can ever be called.

    Source: GitLab's find_group (lib/api/helpers.rb): digits are an id, anything else is a full path.
    """
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        return NamespaceId(int(text)) if len(text) < 20 and 0 < int(text) <= _LARGEST_ID else None
    if not text or len(text) > 4096 or "\0" in text:
        return None
    return text


@dataclass(frozen=True, slots=True)
class GroupVisit:
    """Somebody who was let into a group.

    Args:
        level: the caller's highest level in it; NO_ACCESS where its visibility, or something below it, let them in.
    """

    principal: Principal
    group: Namespace
    level: AccessLevel


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
            visit = await self._group(rows, ref, principal) if ref is not None else None
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

    async def to_project(self, ref: ProjectRef | None, principal: Principal) -> Visit:
        """Admit a reader of the project.

        Raises:
            NotFound: "Project": there is none, or none for this caller.
        """
        async with self.store.reading() as rows:
            visit = await self._project(rows, ref, principal) if ref is not None else None
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

    async def _group(self, rows: Reading, ref: GroupRef, principal: Principal) -> GroupVisit | None:
        find = rows.tenants.namespace_by_path(ref) if isinstance(ref, str) else rows.tenants.namespace(ref)
        group = await find
        if group is None or group.kind is not NamespaceKind.GROUP:
            return None
        level, is_member_below = AccessLevel.NO_ACCESS, False
        if isinstance(principal, SignedIn):
            level = await rows.tenants.level_in_namespace(principal.user.id, group, now=self.now())
            if not may_read_group(principal, group, level, is_member_below=False):
                is_member_below = await rows.tenant_lists.is_member_below(group, principal.user.id, now=self.now())
        if not may_read_group(principal, group, level, is_member_below=is_member_below):
            return None
        return GroupVisit(principal=principal, group=group, level=level)

    async def _project(self, rows: Reading, ref: ProjectRef, principal: Principal) -> Visit | None:
        find = rows.tenants.project_by_path(ref) if isinstance(ref, str) else rows.tenants.project(ref)
        project = await find
        if project is None:
            return None
        level = AccessLevel.NO_ACCESS
        if isinstance(principal, SignedIn):
            level = await rows.tenants.level_in_project(principal.user.id, project, now=self.now())
        if not may_read_project(principal, project, level):
            return None
        settings = await rows.settings.read(self.defaults)
        return Visit(principal=principal, project=project, level=level, settings=settings)
