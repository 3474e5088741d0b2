"""The part of the metadata port that is about CI jobs: their pipelines, their tokens, and where they are let in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.models import Namespace, NamespaceId, Pipeline, Project, ProjectId, TokenId, UserId
from shared.pages import Page, PageRequest
from shared.principals import AccessToken


@dataclass(frozen=True, slots=True)
class NewPipeline:
    """What a CI system says of a pipeline of its; None: nothing.

    Args:
        number: the id that the CI system gave it; one in its project.
    """

    number: int
    iid: int | None = None
    ref: str | None = None
    sha: str | None = None
    source: str | None = None
    status: str | None = None
    web_url: str | None = None


@dataclass(frozen=True, slots=True)
class JobToken:
    """The token of a job, with the pipeline that the job is part of."""

    token: AccessToken
    pipeline: Pipeline


class JobTokenReads(Protocol):
    """Look up jobs that run, and where jobs are let in."""

    async def is_allowed(self, source: Project, *, into: ProjectId) -> bool:
        """Return whether the other project's allow-list holds this one, or a group that this one lies in."""
        ...

    async def running(self, project: Project, token_id: TokenId, *, now: datetime) -> AccessToken | None:
        """Return the token of a job of this project; None when there is none of this id that is still good."""
        ...

    async def running_page(self, project: Project, page: PageRequest, *, now: datetime) -> Page[JobToken]:
        """Return a page of the tokens of this project's jobs that are still good, newest first."""
        ...

    async def allowed_projects(self, project: Project, page: PageRequest) -> Page[Project]:
        """Return a page of the projects whose jobs the project lets in, itself among them, oldest first."""
        ...

    async def allowed_groups(self, project: Project, page: PageRequest) -> Page[Namespace]:
        """Return a page of the groups below which all jobs are let in, oldest first."""
        ...


class JobTokenWrites(JobTokenReads, Protocol):
    """Change what is known of pipelines, and where jobs are let in."""

    async def save_pipeline(self, project: Project, new: NewPipeline, *, user_id: UserId) -> Pipeline:
        """Add the pipeline, or bring what is known of it up to date; what is not said this time stays as it was.

        Args:
            user_id: who started it, as far as it is new; who started it before stays.
        """
        ...

    async def switch_scope(self, project: Project, *, is_enabled: bool) -> bool:
        """Make the project's allow-list count, or not; False when it is so already, or the project is gone."""
        ...

    async def allow_project(self, project: Project, target_id: ProjectId, *, creator_id: UserId) -> bool:
        """Let the jobs of another project in; False when they are let in already."""
        ...

    async def disallow_project(self, project: Project, target_id: ProjectId) -> bool:
        """Let them in no more; False when they were not on the list."""
        ...

    async def allow_group(self, project: Project, target_id: NamespaceId, *, creator_id: UserId) -> bool:
        """Let the jobs of all projects below a group in; False when they are let in already."""
        ...

    async def disallow_group(self, project: Project, target_id: NamespaceId) -> bool:
        """Let them in no more; False when the group was not on the list."""
        ...
