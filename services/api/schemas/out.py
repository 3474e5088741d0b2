"""Groups and projects as they go out, in GitLab's shape.

What Larder has no notion of is there with the value that GitLab has for it when nobody ever touched it.

Source: lib/api/entities/group.rb, project.rb, namespace_basic.rb; contract, control plane 4 and 5.
"""

from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, fields

from services.api.presenters.links import Links
from shared.models import AccessLevel, Namespace, Project, RegistryAccess
from shared.ports.tenant_lists import ProjectStanding
from shared.principals import Principal, SignedIn


def instant(at: datetime) -> str:
    """Return an instant as GitLab's API writes it: UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Instant(fields.Field[datetime]):
    """An instant, in UTC, to the millisecond."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else instant(value)


def _nothing() -> fields.Constant[list[str]]:
    return fields.Constant([])


class LinkedSchema(Schema):
    """Something that has URLs."""

    def __init__(self, links: Links) -> None:
        """Make it with the links of the request."""
        super().__init__()
        self.links = links


class BasicGroupSchema(LinkedSchema):
    """What identifies a group. Source: lib/api/entities/basic_group_details.rb."""

    id = fields.Integer()
    web_url = fields.Method("_web_url")
    name = fields.String()

    def _web_url(self, group: Namespace) -> str:
        return self.links.namespace(group)


class GroupSchema(LinkedSchema):
    """A group."""

    id = fields.Integer()
    web_url = fields.Method("_web_url")
    name = fields.String()
    path = fields.String()
    description = fields.String()
    visibility = fields.String()
    share_with_group_lock = fields.Constant(False)
    require_two_factor_authentication = fields.Constant(False)
    project_creation_level = fields.Constant("developer")
    subgroup_creation_level = fields.Constant("maintainer")
    lfs_enabled = fields.Constant(False)
    request_access_enabled = fields.Constant(True)
    avatar_url = fields.Constant(None)
    full_name = fields.Method("_full_name")
    full_path = fields.String()
    created_at = Instant()
    parent_id = fields.Integer(allow_none=True)
    shared_with_groups = _nothing()

    def _web_url(self, group: Namespace) -> str:
        return self.links.namespace(group)

    def _full_name(self, group: Namespace) -> str:
        return full_name(group)


class NamespaceSchema(LinkedSchema):
    """Where a project lies."""

    id = fields.Integer()
    name = fields.String()
    path = fields.String()
    kind = fields.String()
    full_path = fields.String()
    parent_id = fields.Integer(allow_none=True)
    avatar_url = fields.Constant(None)
    web_url = fields.Method("_web_url")

    def _web_url(self, namespace: Namespace) -> str:
        return self.links.namespace(namespace)


class ProjectSchema(LinkedSchema):
    """A project, as everybody who sees it sees it."""

    id = fields.Integer()
    description = fields.String()
    name = fields.String()
    name_with_namespace = fields.Function(lambda project: f"{full_name(project.namespace)} / {project.name}")
    path = fields.String()
    path_with_namespace = fields.String(attribute="full_path")
    created_at = Instant()
    updated_at = fields.Function(lambda project: instant(project.created_at))
    last_activity_at = fields.Function(lambda project: instant(project.created_at))
    default_branch = fields.Constant(None)
    tag_list = _nothing()
    topics = _nothing()
    web_url = fields.Method("_web_url")
    readme_url = fields.Constant(None)
    avatar_url = fields.Constant(None)
    forks_count = fields.Constant(0)
    star_count = fields.Constant(0)
    namespace = fields.Method("_namespace")
    _links = fields.Method("_api_links")
    packages_enabled = fields.Function(lambda project: project.registry_access is not RegistryAccess.DISABLED)
    package_registry_access_level = fields.String(attribute="registry_access")
    empty_repo = fields.Constant(True)
    archived = fields.Constant(False)
    visibility = fields.String()
    creator_id = fields.Integer(allow_none=True)

    def _web_url(self, project: Project) -> str:
        return self.links.project(project)

    def _namespace(self, project: Project) -> dict[str, Any]:
        return dict(NamespaceSchema(self.links).dump(project.namespace))

    def _api_links(self, project: Project) -> dict[str, str]:
        url = self.links.project_api(project.id)
        return {"self": url, "members": f"{url}/members"}


_IDENTITY = (
    "id",
    "description",
    "name",
    "name_with_namespace",
    "path",
    "path_with_namespace",
    "created_at",
    "default_branch",
    "tag_list",
    "topics",
    "web_url",
    "readme_url",
    "forks_count",
    "avatar_url",
    "star_count",
    "last_activity_at",
    "visibility",
    "namespace",
)


def dump_standing(standing: ProjectStanding, principal: Principal, links: Links) -> dict[str, Any]:
    """Return the project with what the caller may do in it; of nobody in particular, nothing is told."""
    project = dict(ProjectSchema(links).dump(standing.project))
    if not isinstance(principal, SignedIn):
        return project
    return project | {
        "permissions": {
            "project_access": _access(standing.own_level),
            "group_access": _access(standing.group_level),
        }
    }


def dump_identity(standing: ProjectStanding, links: Links) -> dict[str, Any]:
    """Return what `simple=true` leaves of a project."""
    return dump_basic_project(standing.project, links)


def dump_basic_project(project: Project, links: Links) -> dict[str, Any]:
    """Return what identifies a project. Source: lib/api/entities/basic_project_details.rb."""
    told = ProjectSchema(links).dump(project)
    return {name: told[name] for name in _IDENTITY}


def dump_group(group: Namespace, links: Links) -> dict[str, Any]:
    """Return a group as those see it who look at it alone. Source: lib/api/entities/group_detail.rb."""
    return dict(GroupSchema(links).dump(group)) | {
        "pypi_package_requests_forwarding": group.pypi_package_requests_forwarding,
        "lock_pypi_package_requests_forwarding": group.lock_pypi_package_requests_forwarding,
    }


def _access(level: AccessLevel) -> dict[str, int] | None:
    return None if level is AccessLevel.NO_ACCESS else {"access_level": int(level), "notification_level": 3}


def full_name(namespace: Namespace) -> str:
    """Return the names of a namespace and those above it, outermost first; of those above, the paths stand in."""
    return " / ".join((*namespace.full_path.split("/")[:-1], namespace.name))
