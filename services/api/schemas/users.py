"""Users as they come in and go out.

Source: lib/api/users.rb; lib/api/entities/user_basic.rb, user.rb and user_with_admin.rb; contract, control plane 2.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, post_dump, validates_schema

from services.api.schemas.grape import GrapeSchema, Text, Truth
from services.api.schemas.out import Instant, LinkedSchema
from shared.access import may_own_namespaces
from shared.models import User, UserState
from shared.ports.user_rows import UserFilter
from shared.principals import Principal, SignedIn
from shared.usecases.users import NewUser

_NO_PASSWORD = "password, reset_password, force_random_password are missing, at least one parameter must be provided"  # noqa: S105 - a sentence


class UserBasicSchema(LinkedSchema):
    """A user in a list, or beside what he did."""

    id = fields.Integer()
    username = fields.String()
    public_email = fields.Constant("")
    name = fields.String()
    state = fields.String()
    locked = fields.Constant(False)
    avatar_url = fields.Constant(None)
    web_url = fields.Method("_web_url")

    def _web_url(self, user: User) -> str:
        return self.links.user(user)


class UserSchema(UserBasicSchema):
    """A user to everybody who is signed in."""

    created_at = Instant()
    bio = fields.Constant("")
    bot = fields.Constant(False)


class FullUserSchema(UserSchema):
    """A user to administrators."""

    email = fields.String()
    commit_email = fields.Function(lambda user: user.email)
    external = fields.Boolean(attribute="is_external")
    namespace_id = fields.Integer()
    can_create_group = fields.Function(may_own_namespaces)
    can_create_project = fields.Function(may_own_namespaces)
    two_factor_enabled = fields.Constant(False)
    identities = fields.Function(lambda _: [])
    is_admin = fields.Boolean()


class OwnUserSchema(FullUserSchema):
    """A user to himself."""

    @post_dump
    def _tell_administrators_only(self, told: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return told if told["is_admin"] else {name: value for name, value in told.items() if name != "is_admin"}


class NewUserSchema(GrapeSchema):
    """A user to add."""

    email = Text(max_length=255, required=True)
    password = Text(max_length=1000)
    reset_password = Truth()
    force_random_password = Truth()
    name = Text(max_length=255, required=True)
    username = Text(max_length=255, required=True)
    skip_confirmation = Truth()
    admin = Truth()
    external = Truth()

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_that_there_is_a_password(self, data: Any, original: Mapping[str, Any], **kwargs: object) -> None:
        if not original.keys() & {"password", "reset_password", "force_random_password"}:
            raise ValidationError(_NO_PASSWORD)


class UserFilterSchema(GrapeSchema):
    """Which users to list."""

    username = Text(max_length=255)
    search = Text(max_length=255)
    active = Truth()
    blocked = Truth()
    external = Truth()


def read_new_user(parameters: Mapping[str, Any]) -> NewUser:
    """Return the user that these parameters describe.

    Raises:
        InvalidParameters: they describe none.
    """
    user = NewUserSchema().read(parameters)
    is_made_up = bool(user["reset_password"] or user["force_random_password"])
    return NewUser(
        username=user["username"],
        name=user["name"],
        email=user["email"],
        password=None if is_made_up else user.get("password"),
        is_admin=bool(user["admin"]),
        is_external=bool(user["external"]),
    )


def read_user_filter(parameters: Mapping[str, Any], *, caller: Principal) -> UserFilter:
    """Return which users these parameters ask for; those that are empty ask for nothing.

    Raises:
        InvalidParameters: one of them is malformed.
    """
    wanted = UserFilterSchema().read({name: value for name, value in parameters.items() if value != ""})
    states = frozenset(UserState)
    if wanted["active"]:
        states &= {UserState.ACTIVE}
    if wanted["blocked"]:
        states &= {UserState.BLOCKED}
    return UserFilter(
        username=wanted.get("username"),
        search=wanted.get("search"),
        searches_emails=isinstance(caller, SignedIn) and caller.user.is_admin,
        states=states,
        is_external=True if wanted["external"] else None,
    )
