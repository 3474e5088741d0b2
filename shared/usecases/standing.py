"""What somebody is in a project or group: the level that `shared.access` decides by."""

from datetime import datetime

from shared.access import level_of_job, may_administer_group, may_administer_project, may_read_group
from shared.errors import Forbidden
from shared.models import AccessLevel, Namespace, Project
from shared.ports.metadata_store import Reading, Writing
from shared.principals import Anonymous, DeployToken, Job, Principal, SignedIn, user_of


async def level_in_project(rows: Reading, principal: Principal, project: Project, *, now: datetime) -> AccessLevel:
    """Return the highest level that the caller has in the project."""
    match principal:
        case Anonymous() | DeployToken():
            return AccessLevel.NO_ACCESS
        case SignedIn(user=user):
            return await rows.tenants.level_in_project(user.id, project, now=now)
        case Job(user=user):
            level = await rows.tenants.level_in_project(user.id, project, now=now)
            return level_of_job(principal, level, is_let_in=await _lets_in(rows, project, principal))


async def level_in_group(rows: Reading, principal: Principal, group: Namespace, *, now: datetime) -> AccessLevel:
    """Return the highest level that the caller has in the group.

    A job has its user's: each project below the group says for itself whether it lets the job in.
    """
    match principal:
        case Anonymous() | DeployToken():
            return AccessLevel.NO_ACCESS
        case SignedIn(user=user):
            return await rows.tenants.level_in_namespace(user.id, group, now=now)
        case Job(user=user):
            level = await rows.tenants.level_in_namespace(user.id, group, now=now)
            return level_of_job(principal, level, is_let_in=True)


async def is_member_below(rows: Reading | Writing, principal: Principal, group: Namespace, *, now: datetime) -> bool:
    """Say whether the caller is a member of something below the group, where that may decide about something."""
    user = user_of(principal)
    if user is None or may_read_group(principal, group, AccessLevel.NO_ACCESS, is_member_below=False):
        return False
    return await rows.tenant_lists.is_member_below(group, user.id, now=now)


async def require_administrator(
    rows: Writing, caller: SignedIn, source: Namespace | Project, *, now: datetime
) -> AccessLevel:
    """Return the level at which the caller administers the group or project, read in the transaction that changes it.

    Raises:
        Forbidden: it is not enough.
    """
    match source:
        case Namespace():
            level = await rows.tenants.level_in_namespace(caller.user.id, source, now=now)
            may_administer = may_administer_group(caller, level)
        case Project():
            level = await rows.tenants.level_in_project(caller.user.id, source, now=now)
            may_administer = may_administer_project(caller, level)
    if not may_administer:
        raise Forbidden
    return level


async def _lets_in(rows: Reading, project: Project, job: Job) -> bool:
    if job.project.id == project.id or not project.job_token_scope_enabled:
        return True
    return await rows.job_tokens.is_allowed(job.project, into=project.id)
