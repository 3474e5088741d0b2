"""Deploy tokens as they come in and go out.

Source: lib/api/deploy_tokens.rb; lib/api/entities/deploy_token.rb; contract, control plane 7.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, fields

from services.api.schemas.grape import GrapeSchema, Moment, Text, Truth, Words
from services.api.schemas.out import Instant
from shared.principals import DEPLOY_TOKEN_SCOPES, AccessToken
from shared.usecases.deploy_tokens import NewDeployToken
from shared.usecases.token_secrets import IssuedToken


class _Scopes(Words):
    """The scopes of a deploy token. That there is one at least is a rule of the token, not of the parameter."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, ...]:
        return () if value in ([], "") else super()._deserialize(value, attr, data, **kwargs)


class NewDeployTokenSchema(GrapeSchema):
    """A deploy token to make."""

    name = Text(max_length=255, required=True)
    scopes = _Scopes(DEPLOY_TOKEN_SCOPES, required=True)
    expires_at = Moment()
    username = Text(max_length=255)


class DeployTokenQuerySchema(GrapeSchema):
    """Which deploy tokens to list."""

    active = Truth()


class DeployTokenSchema(Schema):
    """A deploy token."""

    id = fields.Integer()
    name = fields.String()
    username = fields.String()
    expires_at = Instant()
    scopes = fields.List(fields.String())
    revoked = fields.Function(lambda token: token.revoked_at is not None)
    expired = fields.Method("_expired")

    def __init__(self) -> None:
        """Make it for this moment: whether a token is expired depends on it."""
        super().__init__()
        self.now = datetime.now(UTC)

    def _expired(self, token: AccessToken) -> bool:
        return token.is_expired(self.now)


def dump_issued(issued: IssuedToken) -> dict[str, Any]:
    """Return a token that was just made, with its secret: no other answer has it."""
    return {**DeployTokenSchema().dump(issued.token), "token": issued.secret}


def read_new_deploy_token(parameters: Mapping[str, Any]) -> NewDeployToken:
    """Return the token that these parameters describe; an empty username or end is as good as none.

    Raises:
        InvalidParameters: they describe none.
    """
    optional = ("username", "expires_at")
    token = NewDeployTokenSchema().read(
        {name: value for name, value in parameters.items() if value != "" or name not in optional}
    )
    return NewDeployToken(
        name=token["name"],
        username=token.get("username"),
        scopes=token["scopes"],
        expires_at=token["expires_at"],
    )


def wants_only_active(parameters: Mapping[str, Any]) -> bool:
    """Return whether tokens past their time are to be left out; `active=false` leaves out none, as in GitLab.

    Raises:
        InvalidParameters: that cannot be told.

    Source: app/finders/deploy_tokens/tokens_finder.rb.
    """
    return bool(DeployTokenQuerySchema().read({k: v for k, v in parameters.items() if v != ""})["active"])
