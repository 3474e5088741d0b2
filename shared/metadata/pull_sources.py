"""Where installers look for packages, as a condition of SQL.

It says what `is_listed_in_group` and `may_pull_through_group` of `shared.access` say.
"""

from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, exists, false, or_, select

from shared.metadata.access_tables import job_token_allowlist
from shared.metadata.tenant_tables import namespace_ancestors, projects
from shared.metadata.visibility import packages_are_open_to, user_has_level_in_project
from shared.models import NamespaceId, Project, RegistryAccess, Visibility
from shared.ports.pull_sources import GroupPull, OfDeployToken, OfJob, OfMember, OwnProjects, PullSource


def is_of(source: PullSource | BindParameter[Any], project_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether the project of this id is one that the source takes packages from."""
    match source:
        case GroupPull():
            return project_id.in_(projects_of(source))
        case _:
            return project_id == source


def projects_of(source: GroupPull) -> Select[Any]:
    """Return the ids of the projects that may be pulled from."""
    return select(projects.c.id).where(
        projects.c.namespace_id.in_(_below(source.group_id)),
        projects.c.doomed_at.is_(None),
        projects.c.registry_access != RegistryAccess.DISABLED,
        or_(_is_open(source.open_visibilities), _is_own(source.own)),
    )


def _is_open(visibilities: frozenset[Visibility]) -> ColumnElement[bool]:
    return packages_are_open_to(visibilities) if visibilities else false()


def _is_own(own: OwnProjects | None) -> ColumnElement[bool]:
    match own:
        case None:
            return false()
        case OfMember():
            return _has_level(own)
        case OfJob(project=project, member=member):
            lets_in = _lets_in(project)
            return lets_in if member is None else and_(lets_in, _has_level(member))
        case OfDeployToken(project_id=project_id, namespace_id=None):
            return projects.c.id == project_id
        case OfDeployToken(namespace_id=namespace_id):
            return projects.c.namespace_id.in_(_below(namespace_id))


def _has_level(member: OfMember) -> ColumnElement[bool]:
    return user_has_level_in_project(member.user_id, member.lowest_level, member.now)


def _lets_in(project: Project) -> ColumnElement[bool]:
    """Return whether a project lets in the jobs of this one."""
    allowed = job_token_allowlist.c
    is_its_own = allowed.project_id == projects.c.id
    # One condition for each of the two unique indexes; an OR inside of one would use neither.
    return or_(
        projects.c.id == project.id,
        projects.c.job_token_scope_enabled.is_(False),
        exists().where(is_its_own, allowed.allowed_project_id == project.id),
        exists().where(is_its_own, allowed.allowed_namespace_id.in_(project.namespace.ancestor_ids)),
    )


def _below(namespace_id: NamespaceId | None) -> Select[Any]:
    """Return the id of the namespace, and those of all that lie in it."""
    return select(namespace_ancestors.c.namespace_id).where(namespace_ancestors.c.ancestor_id == namespace_id)
