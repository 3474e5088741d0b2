"""Whose jobs a project lets in, as it comes in and goes out.

Source: lib/api/project_job_token_scope.rb, lib/api/entities/project_job_token_scope.rb; contract, control plane 11.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields

from services.api.schemas.grape import MISSING, GrapeSchema, Truth
from services.api.schemas.list_fields import Number
from shared.models import NamespaceId, ProjectId


class ScopeSchema(Schema):
    """Whether a project's allow-list counts. What its own jobs may reach, others decide."""

    inbound_enabled = fields.Boolean(attribute="job_token_scope_enabled")
    outbound_enabled = fields.Constant(False)


class ProjectLinkSchema(Schema):
    """A project and another one whose jobs it lets in."""

    source_project_id = fields.Integer()
    target_project_id = fields.Integer()


class GroupLinkSchema(Schema):
    """A project and a group whose jobs it lets in."""

    source_project_id = fields.Integer()
    target_group_id = fields.Integer()


class SwitchSchema(GrapeSchema):
    """Whether the allow-list shall count."""

    enabled = Truth(required=True)


class TargetProjectSchema(GrapeSchema):
    """Whose jobs shall be let in."""

    target_project_id = Number(required=True, error_messages={"required": MISSING})


class TargetGroupSchema(GrapeSchema):
    """Below which group all jobs shall be let in."""

    target_group_id = Number(required=True, error_messages={"required": MISSING})


def read_switch(parameters: Mapping[str, Any]) -> bool:
    """Return whether the allow-list shall count.

    Raises:
        InvalidParameters: that cannot be told.
    """
    is_enabled: bool = SwitchSchema().read(parameters)["enabled"]
    return is_enabled


def read_target_project(parameters: Mapping[str, Any]) -> ProjectId:
    """Return which project is to be let in.

    Raises:
        InvalidParameters: that cannot be told.
    """
    return ProjectId(TargetProjectSchema().read(parameters)["target_project_id"])


def read_target_group(parameters: Mapping[str, Any]) -> NamespaceId:
    """Return which group is to be let in.

    Raises:
        InvalidParameters: that cannot be told.
    """
    return NamespaceId(TargetGroupSchema().read(parameters)["target_group_id"])
