"""What somebody may see, and what somebody is a member of, as conditions of SQL.

They say what `may_read_group`, `may_read_project` and `may_read_packages_api` of `shared.access` say.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, not_, or_, select, true, union

from shared.metadata.tenant_tables import members, namespace_ancestors, namespaces, projects, users
from shared.models import AccessLevel, RegistryAccess, UserId, Visibility
from shared.ports.tenant_lists import Viewer

_ABOVE, _BELOW = namespace_ancestors.c.ancestor_id, namespace_ancestors.c.namespace_id


def is_current(now: datetime) -> ColumnElement[bool]:
    """Return whether a membership counts at this instant."""
    return or_(members.c.expires_at.is_(None), members.c.expires_at > now)


def counts_for(user_id: UserId, lowest: AccessLevel, now: datetime) -> ColumnElement[bool]:
    """Return whether a membership gives this user this level."""
    return and_(members.c.user_id == user_id, members.c.level >= lowest, is_current(now))


def has_level_in_group(viewer: Viewer, lowest: AccessLevel) -> ColumnElement[bool]:
    """Return whether the viewer has this level in a group, directly or through what it lies in."""
    if viewer.user_id is None:
        return false()
    return namespaces.c.id.in_(_groups_with_level(viewer.user_id, lowest, viewer.now))


def has_level_in_project(viewer: Viewer, lowest: AccessLevel) -> ColumnElement[bool]:
    """Return whether the viewer has this level in a project, directly or through its namespaces."""
    if viewer.user_id is None:
        return false()
    return user_has_level_in_project(viewer.user_id, lowest, viewer.now)


def user_has_level_in_project(user_id: UserId, lowest: AccessLevel, now: datetime) -> ColumnElement[bool]:
    """Return whether the user has this level in a project, directly or through its namespaces."""
    counts = counts_for(user_id, lowest, now)
    return or_(
        projects.c.id.in_(select(members.c.project_id).where(members.c.project_id.is_not(None), counts)),
        projects.c.namespace_id.in_(_groups_with_level(user_id, lowest, now)),
        projects.c.namespace_id.in_(select(users.c.namespace_id).where(users.c.id == user_id)),
    )


def is_own_group(viewer: Viewer) -> ColumnElement[bool]:
    """Return whether the viewer is a member of a group, of what it lies in, or of what lies in it."""
    if viewer.user_id is None:
        return false()
    above = union(groups_above_groups(viewer.user_id, viewer.now), groups_above_projects(viewer.user_id, viewer.now))
    return or_(has_level_in_group(viewer, AccessLevel.GUEST), namespaces.c.id.in_(above))


def may_see_group(viewer: Viewer) -> ColumnElement[bool]:
    """Return whether a group is there for the viewer."""
    if viewer.sees_all:
        return true()
    return or_(namespaces.c.visibility.in_(_open_to(viewer)), is_own_group(viewer))


def may_see_project(viewer: Viewer) -> ColumnElement[bool]:
    """Return whether a project is there for the viewer."""
    if viewer.sees_all:
        return true()
    return or_(projects.c.visibility.in_(_open_to(viewer)), has_level_in_project(viewer, AccessLevel.GUEST))


def may_list_packages(viewer: Viewer, lowest: AccessLevel) -> ColumnElement[bool]:
    """Return whether the packages of a project are there for the viewer.

    Args:
        lowest: the level that it takes where the project's visibility does not suffice.
    """
    has_registry = projects.c.registry_access != RegistryAccess.DISABLED
    if viewer.sees_all:
        return has_registry
    is_open = packages_are_open_to(_open_to(viewer))
    return and_(has_registry, or_(is_open, has_level_in_project(viewer, lowest)))


def packages_are_open_to(visibilities: Collection[Visibility]) -> ColumnElement[bool]:
    """Return whether the packages of a project have one of these visibilities (`Project.packages_visibility`)."""
    is_for_members = projects.c.registry_access == RegistryAccess.PRIVATE
    if Visibility.PRIVATE in visibilities:
        return true()
    return and_(projects.c.visibility.in_(sorted(visibilities)), not_(is_for_members))


def groups_above_groups(user_id: UserId, now: datetime) -> Select[Any]:
    """Return the ids of the groups that the user is a guest of, and of all that these lie in."""
    return (
        select(_ABOVE)
        .join(members, members.c.namespace_id == _BELOW)
        .where(counts_for(user_id, AccessLevel.GUEST, now))
    )


def groups_above_projects(user_id: UserId, now: datetime) -> Select[Any]:
    """Return the ids of the groups of projects that the user is a guest of, and of all that these lie in."""
    return (
        select(_ABOVE)
        .join(projects, projects.c.namespace_id == _BELOW)
        .join(members, members.c.project_id == projects.c.id)
        .where(projects.c.doomed_at.is_(None), counts_for(user_id, AccessLevel.GUEST, now))
    )


def _groups_with_level(user_id: UserId, lowest: AccessLevel, now: datetime) -> Select[Any]:
    return select(_BELOW).join(members, members.c.namespace_id == _ABOVE).where(counts_for(user_id, lowest, now))


def _open_to(viewer: Viewer) -> list[Visibility]:
    return [Visibility.PUBLIC, Visibility.INTERNAL] if viewer.sees_internal else [Visibility.PUBLIC]
