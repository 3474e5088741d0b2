"""Make, list and end the tokens of CI jobs.

The registry runs no jobs itself: whoever maintains a project, or the CI system that acts for administrators, says that
a job has begun and when it has ended.

Source: contract, control plane 11.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.access import is_admin, may_read_project
from shared.errors import Forbidden, NotFound
from shared.models import Pipeline, Project, TokenId, UserId, UserState
from shared.pages import Page, PageRequest
from shared.ports.job_token_rows import JobToken, NewPipeline
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.principals import AccessToken, SignedIn
from shared.usecases.token_secrets import JOB_PREFIX, digest_of, new_secret
from shared.usecases.visits import ProjectRef, find_project, project_or_none_at_all


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NewJobToken:
    """A job that begins.

    Args:
        user_id: as whom it acts; None: as the caller.
        expires_in_seconds: how long its token is good, unless it is ended before.
    """

    pipeline: NewPipeline
    user_id: UserId | None
    expires_in_seconds: int


@dataclass(frozen=True, slots=True)
class IssuedJobToken:
    """The token of a job that has just begun, with the only copy of its secret."""

    job: JobToken
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateJobToken:
    """Let a job of a project begin that the caller administers."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, project: Project, new: NewJobToken) -> IssuedJobToken:
        """Return the job's token with its secret, of which only the digest is kept.

        A pipeline that is known by its number already is brought up to date.

        Raises:
            Forbidden: who is no administrator names another user.
            NotFound: "Project": it was deleted meanwhile; "User": there is no such user, or he may not sign in.
        """
        if new.user_id not in (None, caller.user.id) and not is_admin(caller):
            raise Forbidden
        secret = new_secret(JOB_PREFIX)
        async with self.store.writing() as rows:
            if await rows.tenants.project(project.id) is None:
                raise NotFound("Project")
            user = await rows.tenants.user(new.user_id or caller.user.id)
            if user is None or user.state is not UserState.ACTIVE:
                raise NotFound("User")
            pipeline = await rows.job_tokens.save_pipeline(project, new.pipeline, user_id=user.id)
            token = await rows.tokens.add_job(
                pipeline,
                digest=digest_of(secret),
                user_id=user.id,
                expires_at=self.now() + timedelta(seconds=new.expires_in_seconds),
                creator_id=caller.user.id,
            )
            await _audit(rows, caller, "job_token.created", token, pipeline=pipeline)
        return IssuedJobToken(JobToken(token, pipeline), secret)


@dataclass(frozen=True, slots=True)
class ListJobTokens:
    """List the tokens of a project's jobs."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, project: Project, page: PageRequest) -> Page[JobToken]:
        """Return a page of the tokens that are still good, newest first: those of the jobs that run."""
        async with self.store.reading() as rows:
            return await rows.job_tokens.running_page(project, page, now=self.now())


@dataclass(frozen=True, slots=True)
class EndJobToken:
    """Let a job end before its token's time is over."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, ref: ProjectRef | None, token_id: TokenId) -> None:
        """End the token: it is refused from the next request on.

        Who made it, and as whom it acts, may end it even where they have lost sight of the project.

        Raises:
            NotFound: "Project": there is none, or none for this caller; or the project has no such job that runs.
            Forbidden: the job is somebody else's.
        """
        now = self.now()
        async with self.store.writing() as rows:
            there = await find_project(rows, ref)
            project = project_or_none_at_all(there)
            token = await rows.job_tokens.running(project, token_id, now=now)
            if token is None or not _may_end(caller, token):
                level = await rows.tenants.level_in_project(caller.user.id, project, now=now)
                if there is None or not may_read_project(caller, project, level):
                    raise NotFound("Project")
                raise NotFound if token is None else Forbidden
            # Of two who end it at once, the other one finds it ended.
            if not await rows.tokens.revoke(token.id, at=now):
                raise NotFound
            await _audit(rows, caller, "job_token.revoked", token)


def _may_end(caller: SignedIn, token: AccessToken) -> bool:
    return is_admin(caller) or caller.user.id in (token.user_id, token.creator_id)


async def _audit(
    rows: Writing, caller: SignedIn, action: str, token: AccessToken, *, pipeline: Pipeline | None = None
) -> None:
    details: dict[str, str | int | None] = {
        "user_id": token.user_id,
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
    }
    if pipeline is not None:
        details["pipeline"] = pipeline.number
    await rows.audit(
        AuditEvent(
            action=action,
            actor=f"user:{caller.user.id}",
            target=f"job_token:{token.id}",
            project_id=token.project_id,
            token_id=caller.token_id,
            details=details,
        )
    )
