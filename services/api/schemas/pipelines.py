"""Pipelines as they go out.

Source: lib/api/entities/ci/pipeline_basic.rb, lib/api/entities/package/pipeline.rb; contract, Packages 4.
"""

from typing import Any

from marshmallow import fields

from services.api.presenters.links import Links
from services.api.schemas.out import Instant, LinkedSchema
from services.api.schemas.users import UserBasicSchema
from shared.models import Pipeline, Project


class PipelineSchema(LinkedSchema):
    """A pipeline that built packages, with the ids that its CI system gave it."""

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


def dump_pipeline(pipeline: Pipeline, *, of: Project, links: Links) -> dict[str, Any]:
    """Return the pipeline.

    Args:
        of: the project whose package it built; its own page is made up for a pipeline of this project that named none.
    """
    told = dict(PipelineSchema(links).dump(pipeline))
    if pipeline.web_url is None and pipeline.project_id == of.id:
        told["web_url"] = f"{links.project(of)}/-/pipelines/{pipeline.number}"
    return told
