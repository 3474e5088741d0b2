"""Members of groups and projects, as they come in and as they go out.

Source: lib/api/members.rb, lib/api/entities/member.rb, user_basic.rb; contract, control plane 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields, post_dump, validates_schema

from services.api.presenters.links import Links
from services.api.schemas.grape import INVALID, MISSING, Day, GrapeSchema, JsonSchema, Text, Truth, start_of
from services.api.schemas.list_fields import Ids, Number, number
from services.api.schemas.out import Instant, LinkedSchema
from services.api.schemas.users import UserBasicSchema
from shared.errors import InvalidParameters
from shared.models import Membership, UserId
from shared.usecases.members import MemberChange, NewMembers

_MOST_USERS = 100
_BOTH = "user_id, username are mutually exclusive"
_NEITHER = "user_id, username are missing, at least one parameter must be provided"


class _Users(fields.Field[list[str]]):
    """Users separated by commas; of a number or one name, one."""

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "description": "Users, separated by commas."}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[str]:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or len(value) > 300 * _MOST_USERS or "\0" in value:
            raise ValidationError(INVALID)
        named = [text.strip() for text in value.split(",") if text.strip()]
        if not named or len(named) > _MOST_USERS:
            raise ValidationError(INVALID)
        return named


class NewMembersSchema(GrapeSchema):
    """Whom to make members, and of what level."""

    access_level = Number(required=True, error_messages={"required": MISSING})
    user_id = _Users()
    username = _Users()
    expires_at = Day()

    @validates_schema(pass_original=True, skip_on_field_errors=True)
    def _check_that_users_are_named_one_way(self, data: dict[str, Any], original: object, **kwargs: object) -> None:
        if "user_id" in data and "username" in data:
            raise ValidationError(_BOTH)
        if "user_id" not in data and "username" not in data:
            raise ValidationError(_NEITHER)


class MemberChangeSchema(GrapeSchema):
    """What becomes of a membership."""

    access_level = Number(required=True, error_messages={"required": MISSING})
    expires_at = Day()


class MemberQuerySchema(GrapeSchema):
    """Which members to list."""

    query = Text(max_length=255, is_long=True)
    user_ids = Ids()


class MemberRemovalSchema(GrapeSchema):
    """How far a removal goes."""

    skip_subresources = Truth()
    unassign_issuables = Truth()


@dataclass(frozen=True, slots=True)
class Invitation:
    """Users who shall become members.

    Args:
        is_of_several: they came as a list, which is answered otherwise than one user is.
    """

    new: NewMembers
    is_of_several: bool


class MembershipSchema(LinkedSchema):
    """The facts of a membership that are not its user's."""

    access_level = fields.Function(lambda member: int(member.level))
    created_at = Instant()
    created_by = fields.Method("_creator")
    expires_at = fields.Function(lambda member: member.expires_at.date().isoformat() if member.expires_at else None)
    membership_state = fields.Constant("active")

    def _creator(self, member: Membership) -> dict[str, Any] | None:
        return None if member.creator is None else dict(UserBasicSchema(self.links).dump(member.creator))

    @post_dump
    def _tell_of_known_creators_only(self, told: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {name: value for name, value in told.items() if name != "created_by" or value is not None}


def dump_member(member: Membership, links: Links) -> dict[str, Any]:
    """Return a user with the membership's facts."""
    return {**UserBasicSchema(links).dump(member.user), **MembershipSchema(links).dump(member)}


def read_invitation(parameters: Mapping[str, Any]) -> Invitation:
    """Return whom these parameters make members.

    Raises:
        InvalidParameters: that cannot be told.
    """
    found = NewMembersSchema().read(parameters)
    references: list[str] = found.get("user_id") or found["username"]
    users: list[UserId | str] = list(references)
    if "user_id" in found:
        users = [_user_id(text) for text in references]
    new = NewMembers(users=tuple(users), access_level=found["access_level"], expires_at=start_of(found["expires_at"]))
    return Invitation(new=new, is_of_several="," in str(parameters.get("user_id") or parameters.get("username")))


def read_member_change(parameters: Mapping[str, Any]) -> MemberChange:
    """Return what shall become of a membership; an empty or null date ends its expiry, an absent one keeps it.

    Raises:
        InvalidParameters: that cannot be told.
    """
    found = MemberChangeSchema().read(parameters)
    return MemberChange(
        access_level=found["access_level"],
        expires_at=start_of(found["expires_at"]),
        keeps_expiry="expires_at" not in parameters,
    )


def read_member_query(parameters: Mapping[str, Any]) -> tuple[str, tuple[int, ...] | None]:
    """Return what to search for, and among which users; None: among all.

    Raises:
        InvalidParameters: that cannot be told.
    """
    found = MemberQuerySchema().read(parameters)
    return found.get("query", ""), found["user_ids"]


def wants_subresources_kept(parameters: Mapping[str, Any]) -> bool:
    """Return whether only this membership ends, and not those below it.

    Raises:
        InvalidParameters: that cannot be told.
    """
    return bool(MemberRemovalSchema().read(parameters)["skip_subresources"])


def _user_id(text: str) -> UserId:
    try:
        found = number(text)
    except ValidationError:
        raise InvalidParameters("user_id is invalid") from None
    return UserId(found)
