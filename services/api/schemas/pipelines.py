"""Pipelines as they go out.

Source: lib/api/entities/ci/pipeline_basic.rb, lib/api/entities/package/pipeline.rb; contract, Packages 4.
"""

from typing import Any

from marshmallow import fields

from services.api.schemas.out import Instant, LinkedSchema
from services.api.schemas.users import UserBasicSchema
from shared.models import Pipeline


class PipelineSchema(LinkedSchema):
    """A pipeline."""

    id = fields.Integer(attribute="number")
    iid = fields.Integer()
    project_id = fields.Integer()
    sha = fields.String()
    ref = fields.String()
    status = fields.String()
    source = fields.String()
    created_at = Instant()
    updated_at = Instant()
    web_url = fields.String()
    user = fields.Method("_user")

    def _user(self, pipeline: Pipeline) -> dict[str, Any] | None:
        return None if pipeline.user is None else dict(UserBasicSchema(self.links).dump(pipeline.user))
