"""Add, list and show users, and decide whether they may sign in."""

import re
from dataclasses import dataclass, field

from shared.errors import Conflict, Forbidden, NotFound, RecordInvalid
from shared.models import User, UserId, UserState
from shared.pages import Page, PageRequest
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.ports.user_rows import UserFilter
from shared.principals import Anonymous, Principal, SignedIn
from shared.usecases.tenants import path_problem

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_SHORTEST_PASSWORD = 8
_LONGEST_PASSWORD = 128


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user that an administrator wants.

    Args:
        password: looked at and forgotten: nobody signs in with one here. None: one need not be thought of.
    """

    username: str
    name: str
    email: str
    password: str | None = field(repr=False)
    is_admin: bool
    is_external: bool


@dataclass(frozen=True, slots=True)
class CreateUser:
    """Add a user."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, new: NewUser) -> User:
        """Return the new user.

        Raises:
            Conflict: email or username are those of another user, told in this order.
            RecordInvalid: the username is no path or that of a group, the email is no address, or the password is too
                short or too long.

        Source: lib/api/users.rb; app/models/user.rb.
        """
        async with self.store.writing() as rows:
            await _refuse_taken(rows, new)
            _check(new)
            try:
                user = await rows.tenants.add_user(
                    username=new.username,
                    name=new.name,
                    email=new.email,
                    is_admin=new.is_admin,
                    is_external=new.is_external,
                )
            except RecordInvalid:
                await _refuse_taken(rows, new)  # Somebody may have come first since we looked.
                raise
            await rows.audit(
                AuditEvent(
                    action="user.created",
                    actor=f"user:{caller.user.id}",
                    target=f"user:{user.id}",
                    namespace_id=user.namespace_id,
                    token_id=caller.token_id,
                    details={"username": user.username, "is_admin": user.is_admin, "is_external": user.is_external},
                )
            )
        return user


@dataclass(frozen=True, slots=True)
class ListUsers:
    """List users."""

    store: MetadataStore

    async def __call__(self, caller: Principal, wanted: UserFilter, page: PageRequest) -> Page[User]:
        """Return a page, newest first.

        Raises:
            Forbidden: nobody is signed in and no username is asked for: whoever knows it may learn that it is there.

        Source: lib/api/users.rb.
        """
        if isinstance(caller, Anonymous) and wanted.username is None:
            raise Forbidden("Not authorized to access /api/v4/users")
        async with self.store.reading() as rows:
            return await rows.users.page(wanted, page)


@dataclass(frozen=True, slots=True)
class ShowUser:
    """Show a user."""

    store: MetadataStore

    async def __call__(self, caller: Principal, user_id: UserId) -> User:
        """Return the user.

        Raises:
            Forbidden: nobody is signed in.
            NotFound: "User": there is none of this id.

        Source: lib/api/users.rb.
        """
        if isinstance(caller, Anonymous):
            raise Forbidden("Not authorized!")
        async with self.store.reading() as rows:
            user = await rows.tenants.user(user_id)
        if user is None:
            raise NotFound("User")
        return user


@dataclass(frozen=True, slots=True)
class BlockUser:
    """Keep a user out: every token of theirs is refused from the next request on, and none is lost."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, user_id: UserId) -> None:
        """Block the user.

        Raises:
            NotFound: "User": there is none of this id.
            Forbidden: it is the caller.

        Idempotent: by user.

        Source: lib/api/users.rb.
        """
        if user_id == caller.user.id:
            raise Forbidden("The API initiating user cannot be blocked by the API")
        await _move(self.store, caller, user_id, UserState.BLOCKED, source=UserState.ACTIVE)


@dataclass(frozen=True, slots=True)
class UnblockUser:
    """Let a blocked user in again."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, user_id: UserId) -> None:
        """Unblock the user.

        Raises:
            NotFound: "User": there is none of this id.

        Idempotent: by user.
        """
        await _move(self.store, caller, user_id, UserState.ACTIVE, source=UserState.BLOCKED)


async def _move(
    store: MetadataStore, caller: SignedIn, user_id: UserId, state: UserState, *, source: UserState
) -> None:
    async with store.writing() as rows:
        if await rows.tenants.user(user_id) is None:
            raise NotFound("User")
        if not await rows.users.set_state(user_id, state, source=source):
            return
        await rows.audit(
            AuditEvent(
                action="user.blocked" if state is UserState.BLOCKED else "user.unblocked",
                actor=f"user:{caller.user.id}",
                target=f"user:{user_id}",
                token_id=caller.token_id,
            )
        )


async def _refuse_taken(rows: Writing, new: NewUser) -> None:
    if await rows.users.by_email(new.email) is not None:
        raise Conflict("Email has already been taken")
    if await rows.tenants.user_by_username(new.username) is not None:
        raise Conflict("Username has already been taken")


def _check(new: NewUser) -> None:
    messages: dict[str, tuple[str, ...]] = {}
    if not _EMAIL.fullmatch(new.email):
        messages["email"] = ("is invalid",)
    if new.password is not None and len(new.password) < _SHORTEST_PASSWORD:
        messages["password"] = (f"is too short (minimum is {_SHORTEST_PASSWORD} characters)",)
    if new.password is not None and len(new.password) > _LONGEST_PASSWORD:
        messages["password"] = (f"is too long (maximum is {_LONGEST_PASSWORD} characters)",)
    problem = path_problem(new.username, is_top_level=True)
    if problem is not None:
        messages["username"] = (problem,)
    if messages:
        raise RecordInvalid(messages)
