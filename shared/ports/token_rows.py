"""The part of the metadata port that is about access tokens."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.models import Namespace, Pipeline, Project, TokenId, UserId
from shared.pages import Page, PageRequest
from shared.ports.change_checks import Scope
from shared.principals import AccessToken

TokenSource = Namespace | Project
"""What has deploy tokens: a group or a project."""


class TokenOrder(StrEnum):
    """How a list of tokens is sorted; those without the time in question stand last."""

    CREATED_ASC = "created_asc"
    CREATED_DESC = "created_desc"
    EXPIRES_ASC = "expires_asc"
    EXPIRES_DESC = "expires_desc"
    LAST_USED_ASC = "last_used_asc"
    LAST_USED_DESC = "last_used_desc"
    NAME_ASC = "name_asc"
    NAME_DESC = "name_desc"


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Which tokens a list has: those that fulfil all of this; None asks for nothing. Both ends of a span are in it.

    Args:
        is_active: neither revoked nor expired.
        search: what the name contains, in whatever case as far as ASCII goes.
        order: None: oldest first.
    """

    user_id: UserId | None = None
    is_revoked: bool | None = None
    is_active: bool | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    last_used_before: datetime | None = None
    last_used_after: datetime | None = None
    expires_before: datetime | None = None
    expires_after: datetime | None = None
    search: str | None = None
    order: TokenOrder | None = None


class TokenReads(Protocol):
    """Look up access tokens."""

    async def by_digest(self, digest: str) -> AccessToken | None:
        """Return the token whose secret has this SHA-256, revoked and expired ones too, or None.

        The secrets are random and the digest is the index key, so a look-up tells nothing by its timing.
        """
        ...

    async def of_user(self, user_id: UserId, *, name: str) -> tuple[AccessToken, ...]:
        """Return the user's personal tokens of this name, oldest first, revoked ones too."""
        ...

    async def personal(self, token_id: TokenId) -> AccessToken | None:
        """Return the personal token of this id, revoked and expired ones too, or None."""
        ...

    async def personal_page(self, wanted: TokenFilter, page: PageRequest, *, now: datetime) -> Page[AccessToken]:
        """Return a page of the personal tokens that the filter lets through.

        Args:
            now: when tokens must not have expired yet to be active.
        """
        ...

    async def scopes_of(self, token: AccessToken) -> frozenset[Scope]:
        """Return the scopes that count what happens to the token: its user's, and its project's or group's."""
        ...


class TokenWrites(TokenReads, Protocol):
    """Change access tokens."""

    async def add_personal(
        self,
        user_id: UserId,
        *,
        digest: str,
        name: str,
        description: str | None = None,
        scopes: tuple[str, ...],
        expires_at: datetime | None,
    ) -> AccessToken:
        """Add a token with which the user signs in.

        Raises:
            RecordInvalid: a token of this digest exists.
        """
        ...

    async def add_deploy(
        self,
        source: TokenSource,
        *,
        digest: str,
        name: str,
        username: str | None,
        scopes: tuple[str, ...],
        expires_at: datetime | None,
        creator_id: UserId,
    ) -> AccessToken:
        """Add a deploy token of a project or group.

        Args:
            username: None: `gitlab+deploy-token-<id>`.

        Raises:
            RecordInvalid: a token of this digest exists.
        """
        ...

    async def add_job(
        self, pipeline: Pipeline, *, digest: str, user_id: UserId, expires_at: datetime, creator_id: UserId
    ) -> AccessToken:
        """Add the token of a job of this pipeline, which acts as the user.

        Raises:
            RecordInvalid: a token of this digest exists.
        """
        ...

    async def revoke(self, token_id: TokenId, *, at: datetime) -> bool:
        """Revoke the token; return False when it was revoked already."""
        ...

    async def replace_secret(self, token_id: TokenId, *, digest: str) -> None:
        """Give the token another secret; the old one is unknown from now on. A revoked token is good again.

        Raises:
            RecordInvalid: another token has this digest.
        """
        ...

    async def mark_used(self, token_id: TokenId, *, at: datetime) -> None:
        """Note when the token was last used. Bookkeeping: bumps no counter."""
        ...
