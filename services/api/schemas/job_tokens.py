"""The tokens of CI jobs as they come in and go out. Source: contract, control plane 11."""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from services.api.presenters.links import Links
from services.api.schemas.grape import INVALID, MISSING, NO_VALID_VALUE, GrapeSchema, Id, JsonSchema, Part, Text
from services.api.schemas.list_fields import Number, number
from services.api.schemas.out import Instant, LinkedSchema
from services.api.schemas.packages import dump_pipeline
from shared.models import Project, UserId
from shared.ports.job_token_rows import JobToken, NewPipeline
from shared.usecases.job_tokens import IssuedJobToken, NewJobToken

_LARGEST_ID = 2**63 - 1
_DEFAULT_LIFETIME_SECONDS = 3600
_LONGEST_LIFETIME_SECONDS = 86400
_WEB_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)


class _PipelineNumber(Number):
    """A number that a CI system counts with, from 1."""

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": 1}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        found = number(value)
        if not 0 < found <= _LARGEST_ID:
            raise ValidationError(INVALID)
        return found


class _WebUrl(Text):
    """A link for people, who shall be able to follow it without danger."""

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "format": "uri", "maxLength": self.max_length}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        url = super()._deserialize(value, attr, data, **kwargs)
        if not _WEB_URL.fullmatch(url):
            raise ValidationError(INVALID)
        return url


class _Lifetime(fields.Field[int]):
    """How long a token is good, in seconds."""

    @property
    def json_schema(self) -> JsonSchema:
        return {
            "type": "integer",
            "minimum": 1,
            "maximum": _LONGEST_LIFETIME_SECONDS,
            "default": _DEFAULT_LIFETIME_SECONDS,
        }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        seconds = number(value)
        if not 0 < seconds <= _LONGEST_LIFETIME_SECONDS:
            raise ValidationError(NO_VALID_VALUE)
        return seconds


class _NewPipelineSchema(GrapeSchema):
    id = _PipelineNumber(required=True, error_messages={"required": MISSING})
    iid = _PipelineNumber()
    ref = Text(max_length=255)
    sha = Text(max_length=64)
    source = Text(max_length=255)
    status = Text(max_length=255)
    web_url = _WebUrl(max_length=2048)


class NewJobTokenSchema(GrapeSchema):
    """A job that begins."""

    pipeline = Part(_NewPipelineSchema)
    expires_in = _Lifetime(load_default=_DEFAULT_LIFETIME_SECONDS)
    user_id = Id()


class JobTokenSchema(LinkedSchema):
    """The token of a job that runs; its pipeline stands beside it."""

    id = fields.Integer(attribute="token.id")
    expires_at = Instant(attribute="token.expires_at")
    user_id = fields.Integer(attribute="token.user_id")


def read_new_job_token(parameters: Mapping[str, Any]) -> NewJobToken:
    """Return the job that these parameters describe.

    Raises:
        InvalidParameters: they describe none.
    """
    found = NewJobTokenSchema().read(parameters)
    pipeline = found["pipeline"]
    return NewJobToken(
        pipeline=NewPipeline(
            number=pipeline["id"],
            iid=pipeline.get("iid"),
            ref=pipeline.get("ref"),
            sha=pipeline.get("sha"),
            source=pipeline.get("source"),
            status=pipeline.get("status"),
            web_url=pipeline.get("web_url"),
        ),
        user_id=None if found["user_id"] is None else UserId(found["user_id"]),
        expires_in_seconds=found["expires_in"],
    )


def dump_job_token(job: JobToken, *, of: Project, links: Links) -> dict[str, Any]:
    """Return the token of a job of this project, without its secret."""
    return {**JobTokenSchema(links).dump(job), "pipeline": dump_pipeline(job.pipeline, of=of, links=links)}


def dump_issued_job_token(issued: IssuedJobToken, *, of: Project, links: Links) -> dict[str, Any]:
    """Return a token that was just made, with its secret: no other answer has it."""
    return {**dump_job_token(issued.job, of=of, links=links), "token": issued.secret}
