"""Whose jobs a project lets in, as it comes in and goes out.

Source: lib/api/project_job_token_scope.rb, lib/api/entities/project_job_token_scope.rb; contract, control plane 11.
"""

from collections.abc import Mapping
from typing import Any

from services.api.schemas.grape import MISSING, GrapeSchema, Truth
from services.api.schemas.list_fields import Number
from shared.models import NamespaceId, Project, ProjectId


class _SwitchSchema(GrapeSchema):
    enabled = Truth(required=True)


class _TargetProjectSchema(GrapeSchema):
    target_project_id = Number(required=True, error_messages={"required": MISSING})


class _TargetGroupSchema(GrapeSchema):
    target_group_id = Number(required=True, error_messages={"required": MISSING})


def dump_scope(project: Project) -> dict[str, bool]:
    """Return whether the project's allow-list counts. What its own jobs may reach, others decide."""
    return {"inbound_enabled": project.job_token_scope_enabled, "outbound_enabled": False}


def read_switch(parameters: Mapping[str, Any]) -> bool:
    """Return whether the allow-list shall count.

    Raises:
        InvalidParameters: that cannot be told.
    """
    is_enabled: bool = _SwitchSchema().read(parameters)["enabled"]
    return is_enabled


def read_target_project(parameters: Mapping[str, Any]) -> ProjectId:
    """Return which project is to be let in.

    Raises:
        InvalidParameters: that cannot be told.
    """
    return ProjectId(_TargetProjectSchema().read(parameters)["target_project_id"])


def read_target_group(parameters: Mapping[str, Any]) -> NamespaceId:
    """Return which group is to be let in.

    Raises:
        InvalidParameters: that cannot be told.
    """
    return NamespaceId(_TargetGroupSchema().read(parameters)["target_group_id"])
