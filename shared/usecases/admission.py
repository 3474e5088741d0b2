"""Find out who asks, and let them in where they want to go, or not: before any body is read."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.access import PullRules
from shared.credentials import Credentials, Door
from shared.errors import (
    Forbidden,
    LarderError,
    MetadataUnavailable,
    NotFound,
    Refused,
    StorageFull,
    Unauthenticated,
)
from shared.models import InstanceSettings, TokenId
from shared.ports.metadata_store import MetadataStore
from shared.principals import Anonymous, Principal, SignedIn, TokenKind
from shared.usecases.authentication import Authentication, Recognised
from shared.usecases.standing import level_in_project
from shared.usecases.visits import ProjectRef, Visit, find_project, project_or_none_at_all

_LAST_USED_GRAIN = timedelta(minutes=1)
_BOOKKEEPING_SECONDS = 0.2
_ALWAYS = datetime.min.replace(tzinfo=UTC)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Admission:
    """Tells callers apart and admits them.

    Args:
        defaults: the settings of the instance where no administrator has decided otherwise.
        now: the clock, in UTC.
        noted_uses: when this process last tried to note a token's use; one entry for each token that it has seen.
        noting: the notes that are being written; `finish` waits for them.
    """

    store: MetadataStore
    defaults: InstanceSettings
    now: Callable[[], datetime] = _now
    noted_uses: dict[TokenId, datetime] = field(default_factory=dict)
    noting: set[asyncio.Task[None]] = field(default_factory=set)

    async def principal(self, credentials: Credentials, *, door: Door, accepted: tuple[str, ...]) -> Principal:
        """Return who the credentials that this door looks at speak for; Anonymous when none of them counts.

        Args:
            accepted: the scopes of which a personal token needs one.

        Raises: what `Authentication` raises.
        """
        async with self.store.reading() as rows:
            found = await Authentication(rows, accepted, self.now())(credentials, door)
        await self.note_use(found)
        return found.principal if found else Anonymous()

    async def signed_in(self, credentials: Credentials, *, door: Door, accepted: tuple[str, ...]) -> SignedIn:
        """Return the user behind the credentials.

        Raises:
            Unauthenticated: there is none. All that `principal` raises.
        """
        principal = await self.principal(credentials, door=door, accepted=accepted)
        if not isinstance(principal, SignedIn):
            raise Unauthenticated
        return principal

    async def with_own_token(self, credentials: Credentials, *, accepted: tuple[str, ...]) -> SignedIn:
        """Return the user who wants to know of, or end, the very personal token that the request brought.

        Raises:
            Refused: it is a token, but no personal one. All that `signed_in` raises.

        Source: lib/api/personal_access_tokens/self_information.rb.
        """
        try:
            return await self.signed_in(credentials, door=Door.CONTROL, accepted=accepted)
        except Unauthenticated:
            async with self.store.reading() as rows:
                other = await Authentication(rows, accepted, self.now()).of_other_kind(credentials)
            if other is None:
                raise
            raise Refused("This endpoint requires token type to be a personal access token") from None

    async def administrator(self, credentials: Credentials, *, door: Door, accepted: tuple[str, ...]) -> SignedIn:
        """Return the administrator behind the credentials.

        Raises:
            Forbidden: the user is none. All that `signed_in` raises.
        """
        caller = await self.signed_in(credentials, door=door, accepted=accepted)
        if not caller.user.is_admin:
            raise Forbidden
        return caller

    async def to_project(
        self,
        ref: ProjectRef | None,
        credentials: Credentials,
        *,
        door: Door,
        accepted: tuple[str, ...],
        told_as: str | None = None,
    ) -> Visit:
        """Return who comes to the project through this door: it is for the caller to say whether they are let in.

        Args:
            told_as: the word that the refusal has for what is not there: "Project", or None for none.

        Raises:
            NotFound: there is no such project. All that `principal` raises.
        """
        now = self.now()
        async with self.store.reading() as rows:
            there = await find_project(rows, ref)
            project = project_or_none_at_all(there)
            try:
                found = await Authentication(rows, accepted, now)(credentials, door)
            except MetadataUnavailable:
                raise
            except LarderError:
                # At the PyPI endpoints an unknown project is 404 whatever credential was sent. Elsewhere a private one
                # is 404 too, and a wrong credential must not tell the two apart.
                if there is None and door is Door.PYPI:
                    raise NotFound(told_as) from None
                raise
            principal: Principal = found.principal if found else Anonymous()
            visit = Visit(
                principal=principal,
                project=project,
                level=await level_in_project(rows, principal, project, now=now),
                settings=await rows.settings.read(self.defaults),
            )
        await self.note_use(found)
        if there is None:
            raise NotFound(told_as)
        return visit

    def is_use_due(self, found: Recognised | None) -> bool:
        """Say whether it is to be noted that the token was used: personal ones, at most once a minute."""
        due_at = self.use_due_at(found)
        return due_at is not None and self.now() >= due_at

    def use_due_at(self, found: Recognised | None) -> datetime | None:
        """Return from when on a use of the token is to be noted; None when it never is."""
        if found is None or found.token.kind is not TokenKind.PERSONAL:
            return None
        token = found.token
        latest = max(filter(None, (token.last_used_at, self.noted_uses.get(token.id))), default=None)
        return _ALWAYS if latest is None else latest + _LAST_USED_GRAIN

    async def note_use(self, found: Recognised | None) -> None:
        """Note that the token was used, if that is due; a request never waits long for that, nor fails."""
        if found is None or not self.is_use_due(found):
            return
        now, token = self.now(), found.token
        self.noted_uses[token.id] = now
        # Not cancelled when the wait is over: on SQLite that would take as long as the lock that it waits for.
        task = asyncio.create_task(self._mark_used(token.id, now), name="larder token use")
        self.noting.add(task)
        task.add_done_callback(self.noting.discard)
        await asyncio.wait({task}, timeout=_BOOKKEEPING_SECONDS)

    async def _mark_used(self, token_id: TokenId, at: datetime) -> None:
        with suppress(MetadataUnavailable, StorageFull):
            async with self.store.writing() as rows:
                await rows.tokens.mark_used(token_id, at=at)

    async def finish(self) -> None:
        """Wait for what is still being noted; to be called before the store is closed."""
        if self.noting:
            await asyncio.wait(self.noting)


def pull_rules(settings: InstanceSettings) -> PullRules:
    """Return what the settings of the instance say about reads of private packages."""
    return PullRules(
        guests_may_pull=settings.allow_guest_plus_roles_to_pull_packages,
        anyone_may_pull=settings.package_registry_allow_anyone_to_pull_option,
    )
