"""Let installers and uploaders in, who come hundreds of times with the same credentials: who they are is remembered.

What somebody is in a project or group follows from the settings of the instance, the user, the tokens that were
brought, and the access facts of the top-level namespaces that these and the place lie in. Those count all of it.

Who is refused is looked at each time, and what is missing takes the very path of what is hidden, up to the refusal: an
answer that was remembered for one of the two alone would tell by its speed which of them it is.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from shared.access import (
    may_create_packages,
    may_read_group_packages,
    may_read_packages,
    require_group_pull,
    require_pull,
    require_push,
)
from shared.credentials import Credentials, Door
from shared.errors import LarderError, MetadataUnavailable, NotFound
from shared.models import CounterScope, Namespace
from shared.ports.change_checks import INSTANCE, Scope, Stamps
from shared.ports.metadata_store import Reading
from shared.principals import Anonymous, Principal, user_of
from shared.usecases.admission import Admission, pull_rules
from shared.usecases.authentication import Authentication, Recognised
from shared.usecases.memo import Derived, Key, Memo, end_trace_at
from shared.usecases.standing import is_member_below, level_in_group, level_in_project
from shared.usecases.visits import (
    AnyVisit,
    GroupRef,
    GroupVisit,
    ProjectRef,
    Visit,
    find_group,
    find_project,
    group_or_none_at_all,
    project_or_none_at_all,
)

V = TypeVar("V", bound=AnyVisit)

_SIZE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Caller(Generic[V]):
    """Who came where, and by which token.

    Args:
        is_there: the visit is one to something that exists, not to what stands in for the missing.
    """

    visit: V
    found: Recognised | None
    is_there: bool


@dataclass(frozen=True, slots=True)
class RememberedAdmission:
    """Admits readers of packages at the PyPI endpoints."""

    admission: Admission
    memo: Memo

    async def to_project(self, ref: ProjectRef | None, credentials: Credentials, *, accepted: tuple[str, ...]) -> Visit:
        """Admit a reader of packages to the project.

        Raises:
            NotFound: there is no such project. All that `Admission.principal` and `access.require_pull` raise.
        """
        key = ("visit of project", ref, accepted, credentials.digest())
        visit = await self._visit(key, partial(self._come_to_project, ref, credentials, accepted, _may_pull))
        require_pull(visit.principal, visit.project, visit.level, pull_rules(visit.settings))
        return visit

    async def to_push(self, ref: ProjectRef | None, credentials: Credentials, *, accepted: tuple[str, ...]) -> Visit:
        """Admit an uploader to the project.

        Raises:
            NotFound: there is no such project. All that `Admission.principal` and `access.require_push` raise.
        """
        key = ("visit of publisher", ref, accepted, credentials.digest())
        visit = await self._visit(key, partial(self._come_to_project, ref, credentials, accepted, _may_push))
        require_push(visit.principal, visit.project, visit.level)
        return visit

    async def to_group(
        self, ref: GroupRef | None, credentials: Credentials, *, accepted: tuple[str, ...]
    ) -> GroupVisit:
        """Admit a reader of packages to the group.

        Raises:
            NotFound: there is no such group. All that `Admission.principal` and `access.require_group_pull` raise.
        """
        key = ("visit of group", ref, accepted, credentials.digest())
        visit = await self._visit(key, partial(self._come_to_group, ref, credentials, accepted))
        require_group_pull(
            visit.principal,
            visit.group,
            visit.level,
            pull_rules(visit.settings),
            is_member_below=visit.is_member_below,
        )
        return visit

    async def _visit(self, key: Key, derive: Callable[[], Awaitable[Derived[_Caller[V]]]]) -> V:
        caller = await self.memo(key, derive)
        if self.admission.is_use_due(caller.found):
            # The row itself tells whether another process has noted the use of the token meanwhile.
            self.memo.forget(key)
            caller = await self.memo(key, derive)
        end_trace_at(self.admission.use_due_at(caller.found))
        if not caller.is_there:
            raise NotFound
        return caller.visit

    async def _come_to_project(
        self,
        ref: ProjectRef | None,
        credentials: Credentials,
        accepted: tuple[str, ...],
        may_come: Callable[[Visit], bool],
    ) -> Derived[_Caller[Visit]]:
        now = self.admission.now()
        async with self.admission.store.reading() as rows:
            there = await find_project(rows, ref)
            project = project_or_none_at_all(there)
            authentication = Authentication(rows, accepted, now)
            found = await _recognise(authentication, credentials, is_there=there is not None)
            principal: Principal = found.principal if found else Anonymous()
            level = await level_in_project(rows, principal, project, now=now)
            settings = await rows.settings.read(self.admission.defaults)
            visit = Visit(principal=principal, project=project, level=level, settings=settings)
            is_let_in = there is not None and may_come(visit)
            terms = await _terms(rows, authentication, project.namespace, principal) if is_let_in else _NEVER
        await self.admission.note_use(found)
        return _derived(_Caller(visit, found, there is not None), terms, credentials)

    async def _come_to_group(
        self, ref: GroupRef | None, credentials: Credentials, accepted: tuple[str, ...]
    ) -> Derived[_Caller[GroupVisit]]:
        now = self.admission.now()
        async with self.admission.store.reading() as rows:
            there = await find_group(rows, ref)
            group = group_or_none_at_all(there)
            authentication = Authentication(rows, accepted, now)
            found = await _recognise(authentication, credentials, is_there=there is not None)
            principal: Principal = found.principal if found else Anonymous()
            visit = GroupVisit(
                principal=principal,
                group=group,
                level=await level_in_group(rows, principal, group, now=now),
                is_member_below=await is_member_below(rows, principal, group, now=now),
                settings=await rows.settings.read(self.admission.defaults),
            )
            is_let_in = there is not None and may_read_group_packages(
                principal, group, visit.level, pull_rules(visit.settings)
            )
            terms = await _terms(rows, authentication, group, principal) if is_let_in else _NEVER
        await self.admission.note_use(found)
        return _derived(_Caller(visit, found, there is not None), terms, credentials)


def _may_pull(visit: Visit) -> bool:
    return may_read_packages(visit.principal, visit.project, visit.level, pull_rules(visit.settings))


def _may_push(visit: Visit) -> bool:
    return may_create_packages(visit.principal, visit.project, visit.level)


async def _recognise(authentication: Authentication, credentials: Credentials, *, is_there: bool) -> Recognised | None:
    """Return by which token somebody comes. Raises what `Authentication` raises, of what is not there NotFound."""
    try:
        return await authentication(credentials, Door.PYPI)
    except MetadataUnavailable:
        raise
    except LarderError:
        if is_there:
            raise
        # At the PyPI endpoints an unknown project or group is 404 whatever credential was sent.
        raise NotFound from None


@dataclass(frozen=True, slots=True)
class _Terms:
    """How long somebody is what they are somewhere."""

    stamps: Stamps | None
    ends_at: datetime | None = None


_NEVER = _Terms(None)
"""What is refused is looked at each time."""


async def _terms(rows: Reading, authentication: Authentication, place: Namespace, principal: Principal) -> _Terms:
    """Return how long it holds that a caller is who they are in the place: read in the snapshot that told it."""
    tokens = authentication.looked_up.values()
    scopes: set[Scope] = {INSTANCE, (CounterScope.NAMESPACE, place.top_level_id)}
    ends = []
    for token in tokens:
        if token is None:
            return _NEVER  # Nobody counts secrets that are unknown, and one of them may become a token.
        scopes |= await rows.tokens.scopes_of(token)
        if not token.is_expired(authentication.now):
            ends.append(token.expires_at)
    user = user_of(principal)
    if user is not None:
        ends.append(await rows.members.next_end(user.id, now=authentication.now))
    stamps = Stamps(await rows.counters(sorted(scopes)))
    return _Terms(stamps, min((end for end in ends if end is not None), default=None))


def _derived(caller: _Caller[V], terms: _Terms, credentials: Credentials) -> Derived[_Caller[V]]:
    # Whom an administrator acts as is one more user, looked up by any spelling: that is not worth watching.
    stamps = terms.stamps if credentials.sudo is None else None
    return Derived(caller, stamps, size_bytes=_SIZE_BYTES, ends_at=terms.ends_at)
