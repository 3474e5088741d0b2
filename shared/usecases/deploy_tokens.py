"""Make, list, show and revoke the deploy tokens of groups and projects.

Source: lib/api/deploy_tokens.rb, app/models/deploy_token.rb, app/services/concerns/deploy_token_methods.rb.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import NotFound, RecordInvalid, RecordNotFound
from shared.models import Project, TokenId
from shared.pages import Page, PageRequest
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.ports.token_rows import TokenSource
from shared.principals import DEPLOY_TOKEN_SCOPES, AccessToken, SignedIn
from shared.usecases.standing import require_administrator
from shared.usecases.token_secrets import DEPLOY_PREFIX, IssuedToken, digest_of, new_secret

# A colon above all must not stand in it: in HTTP Basic, the password would begin there.
_USERNAME = re.compile(r"[a-zA-Z0-9.+_-]+", re.ASCII)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NewDeployToken:
    """A deploy token that somebody wants for a group or project.

    Args:
        username: None: one that names its id.
        expires_at: the first instant at which it is no longer good; None: it never ends by itself.
    """

    name: str
    username: str | None
    scopes: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class CreateDeployToken:
    """Make a deploy token for a group or project that the caller may see."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, source: TokenSource, new: NewDeployToken) -> IssuedToken:
        """Return the token with its secret, of which only the digest is kept.

        Raises:
            RecordInvalid: it has no scope, or its username has characters that none may have.
            NotFound: "Group" or "Project": it was deleted meanwhile.
            Forbidden: the caller may not make tokens for it any more.
        """
        _check(new)
        secret = new_secret(DEPLOY_PREFIX)
        async with self.store.writing() as rows:
            await _lock(rows, caller, source, self.now())
            token = await rows.tokens.add_deploy(
                source,
                digest=digest_of(secret),
                name=new.name,
                username=new.username,
                scopes=tuple(scope for scope in DEPLOY_TOKEN_SCOPES if scope in new.scopes),
                expires_at=new.expires_at,
                creator_id=caller.user.id,
            )
            await _audit(rows, caller, "deploy_token.created", token)
        return IssuedToken(token, secret)


@dataclass(frozen=True, slots=True)
class ListDeployTokens:
    """List deploy tokens to a caller who may see them."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def of_source(self, source: TokenSource, page: PageRequest, *, only_active: bool) -> Page[AccessToken]:
        """Return a page of the source's own tokens, oldest first: those of what it lies in are not among them."""
        async with self.store.reading() as rows:
            return await rows.deploy_tokens.of_source(source, page, active_at=self._active_at(only_active=only_active))

    async def everywhere(self, page: PageRequest, *, only_active: bool) -> Page[AccessToken]:
        """Return a page of the tokens of all groups and projects, oldest first."""
        async with self.store.reading() as rows:
            return await rows.deploy_tokens.everywhere(page, active_at=self._active_at(only_active=only_active))

    def _active_at(self, *, only_active: bool) -> datetime | None:
        return self.now() if only_active else None


@dataclass(frozen=True, slots=True)
class ShowDeployToken:
    """Show a deploy token to a caller who may see those of its source."""

    store: MetadataStore

    async def __call__(self, source: TokenSource, token_id: TokenId) -> AccessToken:
        """Return the token.

        Raises:
            RecordNotFound: the source has no such token of its own, or it was revoked.
        """
        async with self.store.reading() as rows:
            token = await rows.deploy_tokens.one(source, token_id)
        if token is None:
            raise RecordNotFound
        return token


@dataclass(frozen=True, slots=True)
class RevokeDeployToken:
    """End a deploy token of a group or project that the caller may see."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, source: TokenSource, token_id: TokenId) -> None:
        """Revoke the token: from the next request on nobody knows it, but the row stays for who looks into the past.

        Raises:
            NotFound: "Group" or "Project": it was deleted meanwhile.
            Forbidden: the caller may not revoke its tokens any more.
            RecordNotFound: the source has no such token of its own, or it was revoked before.
        """
        async with self.store.writing() as rows:
            await _lock(rows, caller, source, self.now())
            token = await rows.deploy_tokens.one(source, token_id)
            # Of two who revoke it at once, one does not find it.
            if token is None or not await rows.tokens.revoke(token.id, at=self.now()):
                raise RecordNotFound
            await _audit(rows, caller, "deploy_token.revoked", token)


def _check(new: NewDeployToken) -> None:
    messages: dict[str, tuple[str, ...]] = {}
    if not new.scopes:
        messages["scopes"] = ("can't be blank",)
    if new.username is not None and not _USERNAME.fullmatch(new.username):
        messages["username"] = ("can contain only letters, digits, '_', '-', '+', and '.'",)
    if messages:
        raise RecordInvalid(messages)


async def _lock(rows: Writing, caller: SignedIn, source: TokenSource, now: datetime) -> None:
    """Keep the source from being deleted meanwhile; the caller's body may have come long after the guard looked."""
    if not await rows.members.lock(source):
        raise NotFound("Project" if isinstance(source, Project) else "Group")
    await require_administrator(rows, caller, source, now=now)


async def _audit(rows: Writing, caller: SignedIn, action: str, token: AccessToken) -> None:
    await rows.audit(
        AuditEvent(
            action=action,
            actor=f"user:{caller.user.id}",
            target=f"deploy_token:{token.id}",
            project_id=token.project_id,
            namespace_id=token.namespace_id,
            token_id=caller.token_id,
            details={
                "name": token.name,
                "username": token.username,
                "scopes": " ".join(token.scopes),
                "expires_at": token.expires_at.isoformat() if token.expires_at else None,
            },
        )
    )
