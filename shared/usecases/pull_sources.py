"""Where a visitor's packages are looked for."""

from dataclasses import replace
from datetime import datetime

from shared.access import has_package_scope, is_admin, open_visibilities
from shared.ports.pull_sources import GroupPull, OfDeployToken, OfJob, OfMember, OwnProjects, PullSource
from shared.principals import Anonymous, DeployToken, Job, Principal, SignedIn
from shared.usecases.admission import pull_rules
from shared.usecases.visits import AnyVisit, GroupVisit, Visit


def source_of_pages(visit: AnyVisit, *, now: datetime) -> PullSource:
    """Return where the pages that are shown to the visitor take packages from: `access.is_listed_in_group`.

    Args:
        now: when memberships must not have expired.
    """
    source = source_of_files(visit, now=now)
    if isinstance(source, GroupPull) and isinstance(visit.principal, DeployToken):
        return replace(source, open_visibilities=frozenset())
    return source


def source_of_files(visit: AnyVisit, *, now: datetime) -> PullSource:
    """Return where the files are that the visitor may download: `access.may_pull_through_group`.

    Args:
        now: when memberships must not have expired.
    """
    match visit:
        case Visit(project=project):
            return project.id
        case GroupVisit(principal=principal, group=group):
            return GroupPull(
                group_id=group.id,
                open_visibilities=open_visibilities(principal),
                own=_own_projects(visit, principal, now),
            )


def _own_projects(visit: GroupVisit, principal: Principal, now: datetime) -> OwnProjects | None:
    lowest_level = pull_rules(visit.settings).lowest_level
    match principal:
        case SignedIn(user=user) if not is_admin(principal):
            return OfMember(user.id, lowest_level, now)
        case Job(user=user, project=project):
            return OfJob(project, None if user.is_admin else OfMember(user.id, lowest_level, now))
        case DeployToken(project_id=project_id, namespace_id=namespace_id) if has_package_scope(principal):
            return OfDeployToken(project_id, namespace_id)
        case Anonymous() | SignedIn() | DeployToken():
            return None
