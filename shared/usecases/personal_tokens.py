"""Make, list, show, revoke and rotate personal access tokens.

Source: lib/api/personal_access_tokens.rb, lib/api/helpers/personal_access_tokens_helpers.rb and lib/api/users.rb.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from shared.errors import NotFound, Refused, Unauthenticated
from shared.models import TokenId, UserId
from shared.pages import Page, PageRequest
from shared.ports.metadata_store import AuditEvent, MetadataStore, Reading, Writing
from shared.ports.token_rows import TokenFilter
from shared.principals import AccessToken, SignedIn
from shared.usecases.token_secrets import PERSONAL_PREFIX, IssuedToken, digest_of, new_secret

_DEFAULT_LIFETIME = timedelta(days=365)
_DEFAULT_LIFETIME_OF_ROTATED = timedelta(days=7)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NewPersonalToken:
    """A token that an administrator wants for a user.

    Args:
        expires_on: the first day on which it is no longer good, in UTC; None: a year from now.
    """

    name: str
    description: str | None
    scopes: tuple[str, ...]
    expires_on: date | None


@dataclass(frozen=True, slots=True)
class CreatePersonalToken:
    """Make a token for a user."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, user_id: UserId, new: NewPersonalToken) -> IssuedToken:
        """Return the token with its secret, of which only the digest is kept.

        Raises:
            NotFound: "User": there is none of this id.
        """
        secret = new_secret(PERSONAL_PREFIX)
        async with self.store.writing() as rows:
            if await rows.tenants.user(user_id) is None:
                raise NotFound("User")
            token = await rows.tokens.add_personal(
                user_id,
                digest=digest_of(secret),
                name=new.name,
                description=new.description,
                scopes=new.scopes,
                expires_at=_start_of(new.expires_on or self.now().date() + _DEFAULT_LIFETIME),
            )
            await _audit(rows, caller, "access_token.created", token)
        return IssuedToken(token, secret)


@dataclass(frozen=True, slots=True)
class ListPersonalTokens:
    """List tokens."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, wanted: TokenFilter, page: PageRequest) -> Page[AccessToken]:
        """Return a page of the caller's tokens; to administrators, of everybody's.

        Raises:
            Unauthenticated: somebody else's tokens are asked for.
            NotFound: an administrator asks for those of a user who does not exist.
        """
        async with self.store.reading() as rows:
            if caller.user.is_admin:
                if wanted.user_id is not None and await rows.tenants.user(wanted.user_id) is None:
                    raise NotFound
            elif wanted.user_id not in (None, caller.user.id):
                raise Unauthenticated
            else:
                wanted = replace(wanted, user_id=caller.user.id)
            return await rows.tokens.personal_page(wanted, page, now=self.now())


@dataclass(frozen=True, slots=True)
class ShowPersonalToken:
    """Show a token."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, token_id: TokenId) -> AccessToken:
        """Return the token.

        Raises:
            Unauthenticated: it is not the caller's, or does not exist: who is no administrator is not told which.
            NotFound: it does not exist.
        """
        async with self.store.reading() as rows:
            return await _reachable(rows, caller, token_id)


@dataclass(frozen=True, slots=True)
class RevokePersonalToken:
    """End a token before its time."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, token_id: TokenId) -> None:
        """Revoke the token: it is refused from the next request on.

        Raises:
            NotFound: it does not exist.
            Refused: it is not the caller's.

        Idempotent: by token.
        """
        async with self.store.writing() as rows:
            token = await rows.tokens.personal(token_id)
            if token is None:
                raise NotFound
            if not _may_reach(caller, token):
                raise Refused("Not permitted to revoke")
            if await rows.tokens.revoke(token_id, at=self.now()):
                await _audit(rows, caller, "access_token.revoked", token)


@dataclass(frozen=True, slots=True)
class RotatePersonalToken:
    """Put another token in the place of one."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, token_id: TokenId, *, expires_on: date | None) -> IssuedToken:
        """Return a new token with what the old one was called and could do; the old one is revoked at once.

        Args:
            expires_on: the first day on which the new one is no longer good, in UTC; None: a week from now.

        Raises:
            Unauthenticated, NotFound: as `ShowPersonalToken`.
            Refused: the old one is revoked or expired.

        Source: app/services/personal_access_tokens/rotate_service.rb.
        """
        secret = new_secret(PERSONAL_PREFIX)
        now = self.now()
        async with self.store.writing() as rows:
            old = await _reachable(rows, caller, token_id)
            if old.revoked_at is None and old.is_expired(now):
                raise Refused("Token already expired")
            if old.user_id is None:
                raise NotFound
            # Of two who rotate it at once, one finds it revoked.
            if not await rows.tokens.revoke(old.id, at=now):
                raise Refused("Token already revoked")
            token = await rows.tokens.add_personal(
                old.user_id,
                digest=digest_of(secret),
                name=old.name,
                description=old.description,
                scopes=old.scopes,
                expires_at=_start_of(expires_on or now.date() + _DEFAULT_LIFETIME_OF_ROTATED),
            )
            await _audit(rows, caller, "access_token.rotated", token, replaced_id=old.id)
        return IssuedToken(token, secret)


async def _reachable(rows: Reading | Writing, caller: SignedIn, token_id: TokenId) -> AccessToken:
    token = await rows.tokens.personal(token_id)
    if token is None and caller.user.is_admin:
        raise NotFound
    if token is None or not _may_reach(caller, token):
        raise Unauthenticated
    return token


def _may_reach(caller: SignedIn, token: AccessToken) -> bool:
    return caller.user.is_admin or token.user_id == caller.user.id


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


async def _audit(
    rows: Writing, caller: SignedIn, action: str, token: AccessToken, *, replaced_id: TokenId | None = None
) -> None:
    details: dict[str, str | int | None] = {
        "user_id": token.user_id,
        "name": token.name,
        "scopes": " ".join(token.scopes),
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
    }
    if replaced_id is not None:
        details["replaced_id"] = replaced_id
    await rows.audit(
        AuditEvent(
            action=action,
            actor=f"user:{caller.user.id}",
            target=f"access_token:{token.id}",
            token_id=caller.token_id,
            details=details,
        )
    )
