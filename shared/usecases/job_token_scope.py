"""Say whose jobs a project lets in: whether its allow-list counts, and who stands on it.

Source: contract, control plane 11; lib/api/project_job_token_scope.rb, app/services/ci/job_token_scope/ of GitLab.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.access import may_read_group, may_read_project
from shared.errors import NotFound, Refused
from shared.models import Namespace, NamespaceId, Project, ProjectId
from shared.pages import Page, PageRequest
from shared.ports.metadata_store import AuditEvent, MetadataStore, Reading, Writing
from shared.principals import SignedIn
from shared.usecases.standing import is_member_below, level_in_group, level_in_project
from shared.usecases.visits import find_group

_PROJECT_THERE = "Target project is already in the job token scope"
_PROJECT_NOT_THERE = "Target project is not in the job token scope"
_PROJECT_ITSELF = "Source project cannot be removed from the job token scope"
_GROUP_THERE = "Target group is already in the job token scope"
_GROUP_NOT_THERE = "Target group is not in the job token scope"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SwitchJobTokenScope:
    """Make a project's allow-list count, or let in the jobs of all projects as their users."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, project: Project, *, is_enabled: bool) -> None:
        """Make it so from the next request on.

        Raises:
            NotFound: "Project": it was deleted meanwhile.

        Idempotent: by project and choice.
        """
        async with self.store.writing() as rows:
            if await rows.tenants.project(project.id) is None:
                raise NotFound("Project")
            if await rows.job_tokens.switch_scope(project, is_enabled=is_enabled):
                action = "job_token_scope.enabled" if is_enabled else "job_token_scope.disabled"
                await _audit(rows, caller, action, project, {})


@dataclass(frozen=True, slots=True)
class ListJobTokenScope:
    """List whose jobs a project lets in.

    Its maintainers see all that stands there, also what they could not see otherwise: they answer for it.
    """

    store: MetadataStore

    async def projects(self, project: Project, page: PageRequest) -> Page[Project]:
        """Return a page of the projects, this one among them."""
        async with self.store.reading() as rows:
            return await rows.job_tokens.allowed_projects(project, page)

    async def groups(self, project: Project, page: PageRequest) -> Page[Namespace]:
        """Return a page of the groups."""
        async with self.store.reading() as rows:
            return await rows.job_tokens.allowed_groups(project, page)


@dataclass(frozen=True, slots=True)
class AddToJobTokenScope:
    """Let in more jobs."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def project(self, caller: SignedIn, project: Project, target_id: ProjectId) -> None:
        """Let in the jobs of another project.

        Raises:
            NotFound: "Project": there is no such project, or none for this caller.
            Refused: it stands there already, as each project does on its own list.
        """
        async with self.store.reading() as rows:
            await _require_project(rows, caller, target_id, now=self.now())
        if target_id == project.id:
            raise Refused(_PROJECT_THERE)
        async with self.store.writing() as rows:
            if not await rows.job_tokens.allow_project(project, target_id, creator_id=caller.user.id):
                raise Refused(_PROJECT_THERE)
            await _audit(rows, caller, "job_token_scope.added", project, {"target": f"project:{target_id}"})

    async def group(self, caller: SignedIn, project: Project, target_id: NamespaceId) -> None:
        """Let in the jobs of all projects below a group.

        Raises:
            NotFound: "Group": there is no such group, or none for this caller.
            Refused: it stands there already.
        """
        async with self.store.reading() as rows:
            await _require_group(rows, caller, target_id, now=self.now())
        async with self.store.writing() as rows:
            if not await rows.job_tokens.allow_group(project, target_id, creator_id=caller.user.id):
                raise Refused(_GROUP_THERE)
            await _audit(rows, caller, "job_token_scope.added", project, {"target": f"group:{target_id}"})


@dataclass(frozen=True, slots=True)
class RemoveFromJobTokenScope:
    """Let in fewer jobs. What stands on the list can be taken from it even by those who cannot see it otherwise."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def project(self, caller: SignedIn, project: Project, target_id: ProjectId) -> None:
        """Let in the jobs of a project no more.

        Raises:
            Refused: it is the project itself, or does not stand there.
            NotFound: "Project": it does not stand there, and to this caller it does not exist either.
        """
        if target_id == project.id:
            raise Refused(_PROJECT_ITSELF)
        async with self.store.writing() as rows:
            if await rows.job_tokens.disallow_project(project, target_id):
                await _audit(rows, caller, "job_token_scope.removed", project, {"target": f"project:{target_id}"})
                return
        async with self.store.reading() as rows:
            await _require_project(rows, caller, target_id, now=self.now())
        raise Refused(_PROJECT_NOT_THERE)

    async def group(self, caller: SignedIn, project: Project, target_id: NamespaceId) -> None:
        """Let in the jobs of the projects below a group no more.

        Raises:
            Refused: it does not stand there.
            NotFound: "Group": it does not stand there, and to this caller it does not exist either.
        """
        async with self.store.writing() as rows:
            if await rows.job_tokens.disallow_group(project, target_id):
                await _audit(rows, caller, "job_token_scope.removed", project, {"target": f"group:{target_id}"})
                return
        async with self.store.reading() as rows:
            await _require_group(rows, caller, target_id, now=self.now())
        raise Refused(_GROUP_NOT_THERE)


async def _require_project(rows: Reading, caller: SignedIn, target_id: ProjectId, *, now: datetime) -> None:
    target = await rows.tenants.project(target_id)
    if target is None:
        raise NotFound("Project")
    if not may_read_project(caller, target, await level_in_project(rows, caller, target, now=now)):
        raise NotFound("Project")


async def _require_group(rows: Reading, caller: SignedIn, target_id: NamespaceId, *, now: datetime) -> None:
    target = await find_group(rows, target_id)
    if target is None:
        raise NotFound("Group")
    level = await level_in_group(rows, caller, target, now=now)
    is_below = await is_member_below(rows, caller, target, now=now)
    if not may_read_group(caller, target, level, is_member_below=is_below):
        raise NotFound("Group")


async def _audit(
    rows: Writing, caller: SignedIn, action: str, project: Project, details: dict[str, str | int | None]
) -> None:
    await rows.audit(
        AuditEvent(
            action=action,
            actor=f"user:{caller.user.id}",
            target=f"project:{project.id}",
            project_id=project.id,
            token_id=caller.token_id,
            details=details,
        )
    )
