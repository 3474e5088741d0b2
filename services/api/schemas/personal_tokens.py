"""Personal access tokens as they come in and go out.

Source: lib/api/users.rb, lib/api/helpers/personal_access_tokens_helpers.rb; lib/api/entities/personal_access_token.rb;
contract, control plane 3.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from marshmallow import Schema, fields

from services.api.schemas.grape import Day, GrapeSchema, Id, Moment, Text, Truth, Word, Words, start_of
from services.api.schemas.out import Instant
from shared.models import UserId
from shared.ports.token_rows import TokenFilter, TokenOrder
from shared.principals import PERSONAL_TOKEN_SCOPES, AccessToken
from shared.usecases.personal_tokens import NewPersonalToken
from shared.usecases.token_secrets import IssuedToken


class _State(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"


class NewTokenSchema(GrapeSchema):
    """A token to make."""

    name = Text(max_length=255, required=True)
    description = Text(max_length=255, is_long=True)
    expires_at = Day()
    scopes = Words(PERSONAL_TOKEN_SCOPES, required=True)


class RotationSchema(GrapeSchema):
    """Until when a rotated token is good."""

    expires_at = Day()


class TokenFilterSchema(GrapeSchema):
    """Which tokens to list."""

    user_id = Id()
    revoked = Truth()
    state = Word(_State)
    created_before = Moment()
    created_after = Moment()
    last_used_before = Moment()
    last_used_after = Moment()
    expires_before = Day()
    expires_after = Day()
    search = Text(max_length=255)
    sort = Word(TokenOrder)


class PersonalTokenSchema(Schema):
    """A personal access token."""

    id = fields.Integer()
    name = fields.String()
    revoked = fields.Function(lambda token: token.revoked_at is not None)
    expired = fields.Method("_expired")
    granular = fields.Constant(False)
    created_at = Instant()
    description = fields.String(allow_none=True)
    scopes = fields.List(fields.String())
    user_id = fields.Integer()
    last_used_at = Instant()
    active = fields.Method("_active")
    expires_at = fields.Function(lambda token: token.expires_at and token.expires_at.date().isoformat())

    def __init__(self) -> None:
        """Make it for this moment: whether a token is expired depends on it."""
        super().__init__()
        self.now = datetime.now(UTC)

    def _expired(self, token: AccessToken) -> bool:
        return token.is_expired(self.now)

    def _active(self, token: AccessToken) -> bool:
        return token.is_active(self.now)


def dump_issued(issued: IssuedToken) -> dict[str, Any]:
    """Return a token that was just made, with its secret: no other answer has it."""
    return {**PersonalTokenSchema().dump(issued.token), "token": issued.secret}


def read_new_token(parameters: Mapping[str, Any]) -> NewPersonalToken:
    """Return the token that these parameters describe.

    Raises:
        InvalidParameters: they describe none.
    """
    token = NewTokenSchema().read(parameters)
    return NewPersonalToken(
        name=token["name"],
        description=token.get("description") or None,
        scopes=token["scopes"],
        expires_on=token["expires_at"],
    )


def read_rotation(parameters: Mapping[str, Any]) -> date | None:
    """Return the day on which a rotated token shall end, or None.

    Raises:
        InvalidParameters: it is no day.
    """
    day: date | None = RotationSchema().read(parameters)["expires_at"]
    return day


def read_token_filter(parameters: Mapping[str, Any]) -> TokenFilter:
    """Return which tokens these parameters ask for; those that are empty ask for nothing, where no word is wanted.

    Raises:
        InvalidParameters: one of them is malformed.
    """
    told = {name: value for name, value in parameters.items() if value != "" or name in ("state", "sort")}
    wanted = TokenFilterSchema().read(told)
    state = wanted["state"]
    return TokenFilter(
        user_id=None if wanted["user_id"] is None else UserId(wanted["user_id"]),
        is_revoked=wanted["revoked"],
        is_active=None if state is None else state is _State.ACTIVE,
        created_before=wanted["created_before"],
        created_after=wanted["created_after"],
        last_used_before=wanted["last_used_before"],
        last_used_after=wanted["last_used_after"],
        expires_before=start_of(wanted["expires_before"]),
        expires_after=start_of(wanted["expires_after"]),
        search=wanted.get("search"),
        order=wanted["sort"],
    )
