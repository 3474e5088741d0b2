"""Tell who credentials speak for: the order in which they count, and what is said of those that are no good.

Source: contract, PyPI 2.1 and Packages 1.4; lib/gitlab/auth/auth_finders.rb, lib/api/api_guard.rb.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.credentials import Credentials, Door
from shared.errors import (
    Forbidden,
    InsufficientScope,
    NotFound,
    TokenExpired,
    TokenRevoked,
    Unauthenticated,
    UserBlocked,
)
from shared.models import User, UserId, UserState
from shared.ports.metadata_store import Reading
from shared.principals import AccessToken, DeployToken, Job, Known, SignedIn, TokenKind
from shared.usecases.token_secrets import JOB_PREFIX, digest_of

_JOB_USERNAME = "gitlab-ci-token"
_SUDO = "sudo"
_DIGITS_OF_NO_ID = 19


@dataclass(frozen=True, slots=True)
class Recognised:
    """Who somebody is, and the token that says so."""

    principal: Known
    token: AccessToken


@dataclass(frozen=True, slots=True)
class Authentication:
    """Recognises callers by what they bring.

    Args:
        rows: where the tokens are looked up.
        accepted: the scopes of which a personal token needs one.
        now: the instant at which tokens must be good.
        looked_up: the tokens of secrets that were asked for: one may be tried as several kinds.
    """

    rows: Reading
    accepted: tuple[str, ...]
    now: datetime
    looked_up: dict[str, AccessToken | None] = field(default_factory=dict, repr=False)

    async def __call__(self, credentials: Credentials, door: Door) -> Recognised | None:
        """Return who comes through this door; None when nothing that counts there was brought.

        Raises:
            Unauthenticated: a credential is unknown that must not be.
            TokenExpired, TokenRevoked, InsufficientScope, UserBlocked: a known token is no good, told in this order.
            Forbidden: somebody who is no administrator wants to act as another.
            NotFound: an administrator wants to act as somebody who does not exist.
        """
        match door:
            case Door.PYPI:
                found = await self._at_pypi(credentials)
            case Door.PACKAGES:
                found = await self._at_packages(credentials)
            case Door.CONTROL | Door.OWN_TOKEN:
                found = await self._by_personal_token(credentials)
        return found if credentials.sudo is None else await self._in_the_name_of(credentials.sudo, found)

    async def of_other_kind(self, credentials: Credentials) -> Recognised | None:
        """Return whose deploy or job token was brought, wherever it stood; None when there is none that is good."""
        for secret in (
            credentials.private_token,
            credentials.bearer,
            credentials.deploy_token,
            credentials.job_token,
            credentials.basic.password if credentials.basic else None,
        ):
            found = await self._by_deploy_token(secret) or await self._by_job_token(secret)
            if found is not None:
                return found
        return None

    async def _in_the_name_of(self, wanted: str, found: Recognised | None) -> Recognised:
        """Return the caller as the user that it wants to act as. Source: sudo! of lib/api/helpers.rb."""
        if found is None:
            raise Unauthenticated
        if not isinstance(found.principal, SignedIn) or not found.principal.user.is_admin:
            raise Forbidden("Must be admin to use sudo")
        if _SUDO not in found.principal.scopes:
            raise InsufficientScope((_SUDO,))
        is_id = wanted.isascii() and wanted.isdigit() and len(wanted) < _DIGITS_OF_NO_ID
        find = self.rows.tenants.user(UserId(int(wanted))) if is_id else self.rows.tenants.user_by_username(wanted)
        user = await find
        if user is None:
            raise NotFound(f"User with ID or username '{wanted}'")
        if user.state is not UserState.ACTIVE:
            raise UserBlocked
        return replace(found, principal=replace(found.principal, user=user))

    async def _at_pypi(self, credentials: Credentials) -> Recognised | None:
        basic = credentials.basic
        # The password of Basic takes the place of the header, even of one that would do.
        found = await self._by_deploy_token(basic.password if basic else credentials.deploy_token or credentials.bearer)
        found = found or await self._by_job_token(credentials.bearer)
        found = found or await self._by_personal_token(credentials)
        if found is not None or basic is None or not basic.password.strip():
            return found
        token = await self._token(basic.password, TokenKind.PERSONAL)
        if token is not None:
            return await self._user_of(token)
        if basic.username != _JOB_USERNAME:
            return None
        return await self._by_job_token(basic.password) or _unknown()

    async def _at_packages(self, credentials: Credentials) -> Recognised | None:
        found = await self._by_job_token(credentials.bearer) or await self._by_personal_token(credentials)
        if found is not None or not credentials.job_token:
            return found
        return await self._by_job_token(credentials.job_token) or _unknown()

    async def _by_personal_token(self, credentials: Credentials) -> Recognised | None:
        secret = credentials.private_token
        if secret is None or secret.startswith(JOB_PREFIX):
            secret = credentials.bearer
        if secret is None:
            return None
        token = await self._token(secret, TokenKind.PERSONAL)
        return _unknown() if token is None else await self._user_of(token)

    async def _user_of(self, token: AccessToken) -> Recognised:
        if token.is_expired(self.now):
            raise TokenExpired
        if token.revoked_at is not None:
            raise TokenRevoked
        if not set(token.scopes) & set(self.accepted):
            raise InsufficientScope(self.accepted)
        user = await self._active_user(token)
        return Recognised(SignedIn(user=user, token_id=token.id, scopes=token.scopes), token)

    async def _by_deploy_token(self, secret: str | None) -> Recognised | None:
        token = await self._token(secret, TokenKind.DEPLOY)
        if token is None or not token.is_active(self.now):
            return None
        if not await self._has_source(token):
            return None
        principal = DeployToken(
            token_id=token.id, project_id=token.project_id, namespace_id=token.namespace_id, scopes=token.scopes
        )
        return Recognised(principal, token)

    async def _by_job_token(self, secret: str | None) -> Recognised | None:
        token = await self._token(secret, TokenKind.JOB)
        if token is None or not token.is_active(self.now) or token.project_id is None or token.pipeline_id is None:
            return None
        project = await self.rows.tenants.project(token.project_id)
        if project is None:
            return None
        user = await self._active_user(token)
        return Recognised(Job(user=user, token_id=token.id, project=project, pipeline_id=token.pipeline_id), token)

    async def _has_source(self, token: AccessToken) -> bool:
        """Say whether the project or group whose token it is still exists: what is being deleted does not."""
        if token.project_id is not None:
            return await self.rows.tenants.project(token.project_id) is not None
        return token.namespace_id is not None and await self.rows.tenants.namespace(token.namespace_id) is not None

    async def _active_user(self, token: AccessToken) -> User:
        user = await self.rows.tenants.user(token.user_id) if token.user_id is not None else None
        if user is None:
            raise Unauthenticated
        if user.state is not UserState.ACTIVE:
            raise UserBlocked
        return user

    async def _token(self, secret: str | None, kind: TokenKind) -> AccessToken | None:
        if not secret:
            return None
        if secret not in self.looked_up:
            self.looked_up[secret] = await self.rows.tokens.by_digest(digest_of(secret))
        token = self.looked_up[secret]
        return token if token is not None and token.kind is kind else None


def brings_secret(credentials: Credentials, door: Door) -> bool:
    """Say whether any secret was brought that this door looks at, whatever it is worth."""
    is_for_us = credentials.private_token is not None and not credentials.private_token.startswith(JOB_PREFIX)
    is_explicit = is_for_us or credentials.bearer is not None
    password = credentials.basic.password if credentials.basic else None
    match door:
        case Door.PYPI:
            return is_explicit or bool(password if credentials.basic else credentials.deploy_token)
        case Door.PACKAGES:
            return is_explicit or credentials.job_token is not None
        case Door.CONTROL:
            return is_explicit
        case Door.OWN_TOKEN:
            others = (credentials.private_token, credentials.deploy_token, credentials.job_token, password)
            return is_explicit or any(others)


def _unknown() -> Recognised:
    raise Unauthenticated
