"""Find out who asks, and let them in where they want to go, or not: before any body is read."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.access import PullRules, require_pull, require_push
from shared.credentials import Credentials, Door
from shared.errors import (
    Forbidden,
    InsufficientScope,
    MetadataUnavailable,
    NotFound,
    StorageFull,
    TokenExpired,
    TokenRevoked,
    Unauthenticated,
    UserBlocked,
)
from shared.models import (
    AccessLevel,
    AccessToken,
    Anonymous,
    InstanceSettings,
    Principal,
    Project,
    ProjectId,
    SignedIn,
    TokenId,
    TokenKind,
    UserState,
)
from shared.ports.metadata_store import MetadataStore, Reading

_JOB_USERNAME = "gitlab-ci-token"
_LAST_USED_GRAIN = timedelta(minutes=1)
_BOOKKEEPING_SECONDS = 0.2
_LARGEST_ID = 2**63 - 1

ProjectRef = ProjectId | str
"""A project as a URL names it: by number, or by full path."""


def parse_project_ref(text: str) -> ProjectRef | None:
    """Return what the `:id` of a URL refers to; None for what no project can ever be called.

    Source: GitLab's find_project (lib/api/helpers.rb): digits are an id, anything else must hold a slash.
    """
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        return ProjectId(int(text)) if len(text) < 20 and 0 < int(text) <= _LARGEST_ID else None
    if "/" not in text or len(text) > 4096 or "\0" in text:
        return None
    return text


def digest_of(secret: str) -> str:
    """Return the SHA-256 under which a secret is stored.

    One round suffices: the secrets are random and long, so there is nothing to guess.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who was let into a project.

    Args:
        level: the caller's highest level in it; NO_ACCESS where the project's visibility alone let them in.
        settings: those of the instance at that moment.
    """

    principal: Principal
    project: Project
    level: AccessLevel
    settings: InstanceSettings


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Admission:
    """Tells callers apart and admits them.

    Args:
        defaults: the settings of the instance where no administrator has decided otherwise.
        now: the clock, in UTC.
        noted_uses: when this process last tried to note a token's use; one entry for each token that it has seen.
    """

    store: MetadataStore
    defaults: InstanceSettings
    now: Callable[[], datetime] = _now
    noted_uses: dict[TokenId, datetime] = field(default_factory=dict)

    async def principal(self, credentials: Credentials, *, door: Door, accepted: tuple[str, ...]) -> Principal:
        """Return who the credentials that this door looks at speak for; Anonymous when none of them counts.

        Args:
            accepted: the scopes of which the token needs one.

        Raises:
            Unauthenticated: a credential is unknown that must not be.
            TokenExpired, TokenRevoked, InsufficientScope, UserBlocked: a known token is no good, told in this order.

        Source: contract, PyPI 2.1; lib/gitlab/auth/auth_finders.rb.
        """
        async with self.store.reading() as rows:
            found = await self._find(rows, credentials, door, accepted)
        if found is None:
            return Anonymous()
        principal, token = found
        await self._note_use(token)
        return principal

    async def signed_in(self, credentials: Credentials, *, door: Door, accepted: tuple[str, ...]) -> SignedIn:
        """Return the user behind the credentials.

        Raises:
            Unauthenticated: there is none. All that `principal` raises.
        """
        principal = await self.principal(credentials, door=door, accepted=accepted)
        if isinstance(principal, Anonymous):
            raise Unauthenticated
        return principal

    async def administrator(self, credentials: Credentials, *, door: Door, accepted: tuple[str, ...]) -> SignedIn:
        """Return the administrator behind the credentials.

        Raises:
            Forbidden: the user is none. All that `signed_in` raises.
        """
        caller = await self.signed_in(credentials, door=door, accepted=accepted)
        if not caller.user.is_admin:
            raise Forbidden
        return caller

    async def to_pull(self, ref: ProjectRef | None, credentials: Credentials, *, accepted: tuple[str, ...]) -> Visit:
        """Admit a reader of packages to the project. Raises what `principal` and `access.require_pull` raise."""
        visit = await self._visit(ref, credentials, Door.PYPI, accepted)
        require_pull(visit.principal, visit.project, visit.level, _pull_rules(visit.settings))
        return visit

    async def to_push(self, ref: ProjectRef | None, credentials: Credentials, *, accepted: tuple[str, ...]) -> Visit:
        """Admit an uploader to the project. Raises what `principal` and `access.require_push` raise."""
        visit = await self._visit(ref, credentials, Door.PYPI, accepted)
        require_push(visit.principal, visit.project, visit.level)
        return visit

    async def _visit(
        self, ref: ProjectRef | None, credentials: Credentials, door: Door, accepted: tuple[str, ...]
    ) -> Visit:
        # The project comes first: an unknown one is 404 whatever credential was sent.
        async with self.store.reading() as rows:
            project = await _project(rows, ref)
            if project is None:
                raise NotFound
            found = await self._find(rows, credentials, door, accepted)
            principal = found[0] if found else Anonymous()
            level = await self._level(rows, principal, project)
            settings = await rows.settings.read(self.defaults)
        if found:
            await self._note_use(found[1])
        return Visit(principal=principal, project=project, level=level, settings=settings)

    async def _level(self, rows: Reading, principal: Principal, project: Project) -> AccessLevel:
        match principal:
            case Anonymous():
                return AccessLevel.NO_ACCESS
            case SignedIn(user=user):
                return await rows.tenants.level_in_project(user.id, project, now=self.now())

    async def _find(
        self, rows: Reading, credentials: Credentials, door: Door, accepted: tuple[str, ...]
    ) -> tuple[SignedIn, AccessToken] | None:
        explicit = credentials.private_token or credentials.bearer
        if explicit:
            token = await _personal(rows, explicit)
            if token is None:
                raise Unauthenticated
            return await self._user_of(rows, token, accepted)
        if door is Door.PACKAGES and credentials.job_token:
            raise Unauthenticated
        if door is not Door.PYPI or credentials.basic is None or not credentials.basic.password:
            return None
        token = await _personal(rows, credentials.basic.password)
        if token is not None:
            return await self._user_of(rows, token, accepted)
        if credentials.basic.username == _JOB_USERNAME:
            raise Unauthenticated
        return None

    async def _user_of(
        self, rows: Reading, token: AccessToken, accepted: tuple[str, ...]
    ) -> tuple[SignedIn, AccessToken]:
        if token.expires_at is not None and token.expires_at <= self.now():
            raise TokenExpired
        if token.revoked_at is not None:
            raise TokenRevoked
        if not set(token.scopes) & set(accepted):
            raise InsufficientScope(accepted)
        user = await rows.tenants.user(token.user_id) if token.user_id is not None else None
        if user is None:
            raise Unauthenticated
        if user.state is not UserState.ACTIVE:
            raise UserBlocked
        return SignedIn(user=user, token_id=token.id, scopes=token.scopes), token

    async def _note_use(self, token: AccessToken) -> None:
        """Note, at most once a minute, that the token was used; a request never waits long for that, nor fails."""
        now = self.now()
        latest = max(filter(None, (token.last_used_at, self.noted_uses.get(token.id))), default=None)
        if latest is not None and now - latest < _LAST_USED_GRAIN:
            return
        self.noted_uses[token.id] = now
        with suppress(MetadataUnavailable, StorageFull, TimeoutError):
            async with asyncio.timeout(_BOOKKEEPING_SECONDS), self.store.writing() as rows:
                await rows.tokens.mark_used(token.id, at=now)


def _pull_rules(settings: InstanceSettings) -> PullRules:
    return PullRules(
        guests_may_pull=settings.allow_guest_plus_roles_to_pull_packages,
        anyone_may_pull=settings.package_registry_allow_anyone_to_pull_option,
    )


async def _project(rows: Reading, ref: ProjectRef | None) -> Project | None:
    match ref:
        case None:
            return None
        case str():
            return await rows.tenants.project_by_path(ref)
        case _:
            return await rows.tenants.project(ref)


async def _personal(rows: Reading, secret: str) -> AccessToken | None:
    token = await rows.tokens.by_digest(digest_of(secret))
    return token if token is not None and token.kind is TokenKind.PERSONAL else None
