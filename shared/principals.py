"""Who asks, and the tokens that say so.

All times are aware UTC with microseconds. All digests are lower-case hexadecimal.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.models import NamespaceId, PipelineId, Project, ProjectId, TokenId, User, UserId

PERSONAL_TOKEN_SCOPES = (
    "api",
    "read_api",
    "read_user",
    "self_rotate",
    "create_runner",
    "manage_runner",
    "k8s_proxy",
    "read_repository",
    "write_repository",
    "read_registry",
    "write_registry",
    "ai_features",
    "sudo",
    "admin_mode",
    "read_service_ping",
)
"""The scopes that GitLab gives to personal tokens. From the fifth on only `sudo` opens anything; scripts name the rest.

Source: lib/gitlab/auth.rb.
"""

DEPLOY_TOKEN_SCOPES = (
    "read_repository",
    "read_registry",
    "write_registry",
    "read_package_registry",
    "write_package_registry",
    "read_virtual_registry",
    "write_virtual_registry",
)
"""The scopes that GitLab gives to deploy tokens; those of the package registry open something here."""

READ_PACKAGES = "read_package_registry"
WRITE_PACKAGES = "write_package_registry"
"""Writing includes reading (contract, PyPI 2.2)."""


class TokenKind(StrEnum):
    """What a secret in `access_tokens` speaks for."""

    PERSONAL = "personal"
    DEPLOY = "deploy"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A stored secret: only its digest is kept.

    Args:
        digest: SHA-256 of the secret.
        description: what somebody wrote down about it, or None.
        username: what a deploy token is called in HTTP Basic, which nobody compares; None for other kinds.
        user_id: whose personal token it is, or who started the job; None for deploy tokens.
        project_id: whose deploy token it is, or whose job.
        namespace_id: the group whose deploy token it is.
        pipeline_id: what the job is part of.
        creator_id: who made it, or None when nobody knows.
        scopes: as GitLab spells them: "api", "read_api", "read_package_registry"; none for jobs.
        expires_at: the first instant at which it is no longer good, or None.
    """

    id: TokenId
    kind: TokenKind
    digest: str
    name: str
    description: str | None
    username: str | None
    user_id: UserId | None
    project_id: ProjectId | None
    namespace_id: NamespaceId | None
    pipeline_id: PipelineId | None
    creator_id: UserId | None
    scopes: tuple[str, ...]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime

    def is_expired(self, now: datetime) -> bool:
        """Say whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    def is_active(self, now: datetime) -> bool:
        """Say whether it is still good."""
        return self.revoked_at is None and not self.is_expired(now)


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user who came with a personal access token."""

    user: User
    token_id: TokenId
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeployToken:
    """A deploy token, which acts as nobody but itself.

    Args:
        project_id: the one project that it is for, or None when it is a group's.
        namespace_id: the group for which, and for all below which, it is; None when it is a project's.
    """

    token_id: TokenId
    project_id: ProjectId | None
    namespace_id: NamespaceId | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A CI job that runs: it acts as its user, as far as the project in question lets in jobs of its project.

    Args:
        user: who started it.
        project: whose job it is.
        pipeline_id: what it is part of.
    """

    user: User
    token_id: TokenId
    project: Project
    pipeline_id: PipelineId


Principal = Anonymous | SignedIn | DeployToken | Job
"""Who a request acts as."""


Known = SignedIn | DeployToken | Job
"""Whoever is not anonymous."""


def user_of(principal: Principal) -> User | None:
    """Return the user as whom the principal acts, if it is one."""
    match principal:
        case SignedIn(user=user) | Job(user=user):
            return user
        case Anonymous() | DeployToken():
            return None


def actor_of(principal: Known) -> str:
    """Return how the audit and the log name who acts."""
    match principal:
        case SignedIn(user=user):
            return f"user:{user.id}"
        case Job(token_id=token_id):
            return f"job_token:{token_id}"
        case DeployToken(token_id=token_id):
            return f"deploy_token:{token_id}"
