"""Changes of groups and projects as they come in.

Source: lib/api/groups.rb, lib/api/helpers/groups_helpers.rb, lib/api/projects.rb, lib/api/helpers/projects_helpers.rb.
"""

from collections.abc import Mapping
from typing import Any

from services.api.schemas.grape import GrapeSchema, Text, Truth, Word
from shared.errors import InvalidParameters
from shared.models import RegistryAccess, Visibility
from shared.ports.tenant_changes import ForwardingChoice, GroupChanges, ProjectChanges

_FORWARDING = "pypi_package_requests_forwarding"
_CHOICES = {True: ForwardingChoice.ON, False: ForwardingChoice.OFF, None: None}


class GroupChangesSchema(GrapeSchema):
    """What to change of a group."""

    name = Text(max_length=255)
    path = Text(max_length=255)
    description = Text(max_length=500, is_long=True)
    visibility = Word(Visibility)
    pypi_package_requests_forwarding = Truth()
    lock_pypi_package_requests_forwarding = Truth()


class ProjectChangesSchema(GrapeSchema):
    """What to change of a project."""

    name = Text(max_length=255)
    path = Text(max_length=255)
    description = Text(max_length=2000, is_long=True)
    visibility = Word(Visibility)
    package_registry_access_level = Word(RegistryAccess)
    packages_enabled = Truth()


def read_group_changes(parameters: Mapping[str, Any]) -> tuple[GroupChanges, str | None]:
    """Return what is to be otherwise about a group, and the path that it shall have, if any is given.

    Raises:
        InvalidParameters: that cannot be told.
    """
    found = GroupChangesSchema().read(parameters)
    forwarding = _CHOICES[found[_FORWARDING]]
    if _FORWARDING in parameters and parameters[_FORWARDING] is None:
        forwarding = ForwardingChoice.INHERIT  # Here null says something.
    changes = GroupChanges(
        name=found.get("name"),
        description=found.get("description"),
        visibility=found["visibility"],
        forwarding=forwarding,
        locks_forwarding=found["lock_pypi_package_requests_forwarding"],
    )
    return changes, found.get("path")


def read_project_changes(parameters: Mapping[str, Any]) -> tuple[ProjectChanges, str | None]:
    """Return what is to be otherwise about a project, and the path that it shall have, if any is given.

    Raises:
        InvalidParameters: that cannot be told, or nothing is to be otherwise.
    """
    schema = ProjectChangesSchema()
    if not any(parameters.get(name) is not None for name in schema.load_fields):
        names = ", ".join(sorted(schema.load_fields))
        raise InvalidParameters(f"{names} are missing, at least one parameter must be provided")
    found = schema.read(parameters)
    access = found["package_registry_access_level"]
    if access is None and found["packages_enabled"] is not None:
        access = RegistryAccess.ENABLED if found["packages_enabled"] else RegistryAccess.DISABLED
    changes = ProjectChanges(
        name=found.get("name"),
        description=found.get("description"),
        visibility=found["visibility"],
        registry_access=access,
    )
    return changes, found.get("path")
