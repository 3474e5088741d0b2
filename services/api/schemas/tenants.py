"""Groups and projects as they come in.

Source: lib/api/groups.rb, lib/api/projects.rb, lib/api/helpers/projects_helpers.rb; contract, control plane 4 and 5.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, validates_schema

from services.api.schemas.grape import GrapeSchema, Id, Text, Truth, Word
from shared.models import NamespaceId, RegistryAccess, Visibility
from shared.usecases.tenants import NewGroup, NewProject

_NEITHER = "name, path are missing, at least one parameter must be provided"


class NewGroupSchema(GrapeSchema):
    """A group to add."""

    name = Text(max_length=255, required=True)
    path = Text(max_length=255, required=True)
    parent_id = Id()
    visibility = Word(Visibility)
    description = Text(max_length=500, is_long=True)


class NewProjectSchema(GrapeSchema):
    """A project to add."""

    name = Text(max_length=255)
    path = Text(max_length=255)
    namespace_id = Id()
    visibility = Word(Visibility)
    description = Text(max_length=2000, is_long=True)
    package_registry_access_level = Word(RegistryAccess)
    packages_enabled = Truth()

    @validates_schema(pass_original=True, skip_on_field_errors=True)
    def _check_that_it_is_called_something(self, data: dict[str, Any], original: object, **kwargs: object) -> None:
        if "name" not in data and "path" not in data:
            raise ValidationError(_NEITHER)


def read_new_group(parameters: Mapping[str, Any]) -> NewGroup:
    """Return the group that these parameters describe.

    Raises:
        InvalidParameters: they describe none.
    """
    group = NewGroupSchema().read(parameters)
    parent_id = group["parent_id"]
    return NewGroup(
        name=group["name"],
        path=group["path"],
        parent_id=None if parent_id is None else NamespaceId(parent_id),
        visibility=group["visibility"],
        description=group.get("description", ""),
    )


def read_new_project(parameters: Mapping[str, Any]) -> NewProject:
    """Return the project that these parameters describe.

    Raises:
        InvalidParameters: they describe none.
    """
    project = NewProjectSchema().read(parameters)
    namespace_id = project["namespace_id"]
    access = project["package_registry_access_level"]
    if access is None:
        access = RegistryAccess.DISABLED if project["packages_enabled"] is False else RegistryAccess.ENABLED
    return NewProject(
        name=project.get("name"),
        path=project.get("path"),
        namespace_id=None if namespace_id is None else NamespaceId(namespace_id),
        visibility=project["visibility"],
        description=project.get("description", ""),
        registry_access=access,
    )
