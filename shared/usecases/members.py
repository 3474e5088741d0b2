"""Add, change and remove the members of groups and projects.

Source: lib/api/members.rb, lib/api/helpers/members_helpers.rb, app/policies/group_member_policy.rb.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.access import may_grant
from shared.errors import Conflict, Forbidden, NotFound, RecordInvalid, RecordNotFound
from shared.models import AccessLevel, Membership, Namespace, NamespaceKind, Project, User, UserId
from shared.ports.member_rows import MemberSource
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.principals import SignedIn
from shared.usecases.standing import require_administrator

_GRANTABLE = frozenset(AccessLevel) - {AccessLevel.NO_ACCESS, AccessLevel.MINIMAL}


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NewMembers:
    """Who shall become members.

    Args:
        users: by number or by username; never empty.
        access_level: any number; the rules are told after the permissions.
    """

    users: tuple[UserId | str, ...]
    access_level: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What shall become of a membership.

    Args:
        keeps_expiry: `expires_at` says nothing; the membership ends when it ended before.
    """

    access_level: int
    expires_at: datetime | None
    keeps_expiry: bool


@dataclass(frozen=True, slots=True)
class AddMembers:
    """Make users members of a group or project that the caller may see: all of them or none."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, source: MemberSource, new: NewMembers) -> tuple[Membership, ...]:
        """Return the new memberships, in the order of the users. The checks are made in the order of the errors.

        Raises:
            NotFound: "Group" or "Project": it was deleted meanwhile; "User": there is no such user.
            Conflict: one of them is a direct member already; told even to callers who may not add any.
            Forbidden: the caller may not add members, or none of this level.
            RecordInvalid: there is no such level, or the date is past.
        """
        async with self.store.writing() as rows:
            if not await rows.members.lock(source):
                raise NotFound(_word(source))
            users = [await _user(rows, reference) for reference in dict.fromkeys(new.users)]
            for user in users:
                if await rows.members.direct_one(source, user.id, now=self.now()) is not None:
                    raise Conflict("Member already exists")
            own = await require_administrator(rows, caller, source, now=self.now())
            level = _checked(caller, own, new.access_level, new.expires_at, self.now())
            added = []
            for user in {user.id: user for user in users}.values():
                since = await rows.members.add(
                    source, user.id, level=level, expires_at=new.expires_at, creator_id=caller.user.id
                )
                await _audit(rows, "member.added", caller, source, user.id, level=level, expires_at=new.expires_at)
                added.append(
                    Membership(
                        user=user,
                        level=level,
                        created_at=since,
                        expires_at=new.expires_at,
                        creator=caller.user,
                    )
                )
        return tuple(added)


@dataclass(frozen=True, slots=True)
class ChangeMember:
    """Change a direct membership of a group or project that the caller may see."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(
        self, caller: SignedIn, source: MemberSource, user_id: UserId, change: MemberChange
    ) -> Membership:
        """Return the membership as it is now.

        Raises:
            NotFound: "Group" or "Project": it was deleted meanwhile.
            RecordNotFound: the user is no direct member.
            Forbidden: the caller may not change members, or not from or to this level; or the group would lose its
                last owner.
            RecordInvalid: there is no such level, or the date is past.
        """
        async with self.store.writing() as rows:
            if not await rows.members.lock(source):
                raise NotFound(_word(source))
            member = await rows.members.direct_one(source, user_id, now=self.now())
            if member is None:
                raise RecordNotFound
            own = await require_administrator(rows, caller, source, now=self.now())
            _refuse_holder(source, member)
            if not may_grant(caller, own, member.level):
                raise Forbidden
            expires_at = member.expires_at if change.keeps_expiry else change.expires_at
            level = _checked(caller, own, change.access_level, change.expires_at, self.now())
            if level is not AccessLevel.OWNER or (expires_at is not None and expires_at <= self.now()):
                await _keep_an_owner(rows, source, member, self.now())
            if not await rows.members.change(source, user_id, level=level, expires_at=expires_at):
                raise RecordNotFound
            await _audit(rows, "member.changed", caller, source, user_id, level=level, expires_at=expires_at)
        return Membership(
            user=member.user,
            level=level,
            created_at=member.created_at,
            expires_at=expires_at,
            creator=member.creator,
        )


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """End a direct membership of a group or project that the caller may see."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def alone(self, caller: SignedIn, source: MemberSource, user_id: UserId) -> None:
        """End it, and leave direct memberships below the group as they are.

        Raises:
            NotFound: "Group" or "Project": it was deleted meanwhile.
            RecordNotFound: the user is no direct member.
            Forbidden: the caller may not remove this member, or it is the last owner of the group.
        """
        async with self.store.writing() as rows:
            member = await self._remove(rows, caller, source, user_id)
            await _audit(rows, "member.removed", caller, source, user_id, level=member.level, expires_at=None)

    async def with_subresources(self, caller: SignedIn, source: MemberSource, user_id: UserId) -> None:
        """End it, and the direct memberships in all that lies below the group. Raises what `alone` raises."""
        async with self.store.writing() as rows:
            member = await self._remove(rows, caller, source, user_id)
            below = await rows.members.remove_below(source, user_id) if isinstance(source, Namespace) else 0
            await _audit(
                rows, "member.removed", caller, source, user_id, level=member.level, expires_at=None, below=below
            )

    async def _remove(self, rows: Writing, caller: SignedIn, source: MemberSource, user_id: UserId) -> Membership:
        if not await rows.members.lock(source):
            raise NotFound(_word(source))
        member = await rows.members.direct_one(source, user_id, now=self.now())
        if member is None:
            raise RecordNotFound
        if user_id != caller.user.id:  # Everybody may leave.
            own = await require_administrator(rows, caller, source, now=self.now())
            if not may_grant(caller, own, member.level):
                raise Forbidden
        _refuse_holder(source, member)
        await _keep_an_owner(rows, source, member, self.now())
        if not await rows.members.remove(source, user_id):
            raise RecordNotFound
        return member


async def _user(rows: Writing, reference: UserId | str) -> User:
    find = rows.tenants.user_by_username(reference) if isinstance(reference, str) else rows.tenants.user(reference)
    user = await find
    if user is None:
        raise NotFound("User")
    return user


def _checked(
    caller: SignedIn, own: AccessLevel, wanted: int, expires_at: datetime | None, now: datetime
) -> AccessLevel:
    messages: dict[str, tuple[str, ...]] = {}
    if wanted not in _GRANTABLE:
        messages["access_level"] = ("is not included in the list",)
    if expires_at is not None and expires_at.date() < now.date():
        messages["expires_at"] = ("cannot be a date in the past",)
    if messages:
        raise RecordInvalid(messages)
    level = AccessLevel(wanted)
    if not may_grant(caller, own, level):
        raise Forbidden
    return level


def _refuse_holder(source: MemberSource, member: Membership) -> None:
    """Keep the owner of a personal namespace what its projects make him without anybody's doing."""
    if not isinstance(source, Project) or source.namespace.kind is not NamespaceKind.USER:
        return
    if member.user.namespace_id == source.namespace.id:
        raise Forbidden


async def _keep_an_owner(rows: Writing, source: MemberSource, member: Membership, now: datetime) -> None:
    if not isinstance(source, Namespace) or member.level is not AccessLevel.OWNER:
        return
    if not await rows.members.has_other_owner(source, member.user.id, now=now):
        raise Forbidden


async def _audit(
    rows: Writing,
    action: str,
    caller: SignedIn,
    source: MemberSource,
    user_id: UserId,
    *,
    level: AccessLevel,
    expires_at: datetime | None,
    below: int = 0,
) -> None:
    """Write down a change of one membership.

    Args:
        below: how many memberships of the same user ended with it.
    """
    details: dict[str, str | int | None] = {
        "level": int(level),
        "expires_at": expires_at.isoformat() if expires_at else None,
    }
    if below:
        details["memberships_below"] = below
    is_project = isinstance(source, Project)
    await rows.audit(
        AuditEvent(
            action=action,
            actor=f"user:{caller.user.id}",
            target=f"user:{user_id}",
            project_id=source.id if is_project else None,
            namespace_id=None if is_project else source.id,
            token_id=caller.token_id,
            details=details,
        )
    )


def _word(source: MemberSource) -> str:
    return "Project" if isinstance(source, Project) else "Group"
