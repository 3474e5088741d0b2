"""Add groups and projects."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.access import may_own_namespaces, may_read_group
from shared.errors import Forbidden, NotFound, RecordInvalid
from shared.models import (
    AccessLevel,
    InstanceSettings,
    Namespace,
    NamespaceId,
    NamespaceKind,
    Project,
    RegistryAccess,
    Visibility,
)
from shared.ports.metadata_store import AuditEvent, MetadataStore, Writing
from shared.principals import SignedIn
from shared.usecases.standing import is_member_below

_PATH = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*", re.ASCII)
_BAD_ENDINGS = (".", ".git", ".atom")
_NOT_OF_ITS_OWN = "Personal project creation is not allowed. Please contact your administrator with questions"
_BAD_PATH = (
    "can only include non-accented letters, digits, '_', '-' and '.'. "
    "It must not start with '-' or '.', nor end in '.', '.git' or '.atom', nor be a reserved word."
)
_RESERVED_TOP_LEVEL = frozenset({"-", "api", "groups", "users", "projects", "oauth", ".well-known", "admin", "help"})
_OPENNESS = {Visibility.PRIVATE: 0, Visibility.INTERNAL: 1, Visibility.PUBLIC: 2}


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group that somebody wants.

    Args:
        parent_id: None for a top-level group.
        visibility: None: that of the settings, or of the parent where it is less visible.
    """

    name: str
    path: str
    parent_id: NamespaceId | None
    visibility: Visibility | None
    description: str


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project that somebody wants; at least one of name and path is given.

    Args:
        namespace_id: None: the caller's personal namespace.
        visibility: None: that of the settings, or of the group where it is less visible.
    """

    name: str | None
    path: str | None
    namespace_id: NamespaceId | None
    visibility: Visibility | None
    description: str
    registry_access: RegistryAccess


@dataclass(frozen=True, slots=True)
class CreateGroup:
    """Add a group, whose creator becomes its owner."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, new: NewGroup) -> Namespace:
        """Return the new group.

        Raises:
            NotFound: "Group": the caller sees no such parent.
            Forbidden: the caller may not add subgroups to the parent, or is external and so may not add one at the top.
            RecordInvalid: the path is bad or taken, or the group would be more visible than its parent.

        Source: lib/api/groups.rb.
        """
        if new.parent_id is None and not may_own_namespaces(caller.user):
            raise Forbidden
        async with self.store.writing() as rows:
            settings = await rows.settings.read(InstanceSettings())
            visibility = new.visibility or settings.default_group_visibility
            parent = None
            if new.parent_id is not None:
                parent = await rows.tenants.namespace(new.parent_id)
                if parent is None or parent.kind is not NamespaceKind.GROUP:
                    raise NotFound("Group")
                level = await _level(rows, caller, parent)
                is_below = await is_member_below(rows, caller, parent, now=datetime.now(UTC))
                if not may_read_group(caller, parent, level, is_member_below=is_below):
                    raise NotFound("Group")
                if level < AccessLevel.MAINTAINER:
                    raise Forbidden
            _check_path(new.path, is_top_level=parent is None)
            if parent is not None:
                visibility = new.visibility or min(visibility, parent.visibility, key=_openness)
                _check_openness(visibility, parent)
            group = await rows.tenants.add_group(
                parent=parent, name=new.name, path=new.path, description=new.description, visibility=visibility
            )
            await rows.tenants.add_namespace_member(group, caller.user.id, level=AccessLevel.OWNER, expires_at=None)
            await rows.audit(
                AuditEvent(
                    action="group.created",
                    actor=f"user:{caller.user.id}",
                    target=f"group:{group.id}",
                    namespace_id=group.id,
                    token_id=caller.token_id,
                    details={"full_path": group.full_path, "visibility": visibility},
                )
            )
        return group


@dataclass(frozen=True, slots=True)
class CreateProject:
    """Add a project."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, new: NewProject) -> Project:
        """Return the new project.

        Raises:
            Forbidden: it would be an external user's own.
            RecordInvalid: the namespace is none that the caller may add to, the path is bad or taken, or the project
                would be more visible than its group.

        Source: lib/api/projects.rb.
        """
        name = new.name or new.path or ""
        path = new.path or re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip("-.") or "project"
        _check_path(path, is_top_level=False)
        async with self.store.writing() as rows:
            settings = await rows.settings.read(InstanceSettings())
            visibility = new.visibility or settings.default_project_visibility
            namespace_id = new.namespace_id or caller.user.namespace_id
            namespace = await rows.tenants.namespace(namespace_id)
            if namespace is None or await _level(rows, caller, namespace) < AccessLevel.DEVELOPER:
                raise RecordInvalid({"namespace": ("is not valid",)})
            if namespace.kind is NamespaceKind.USER and not may_own_namespaces(caller.user):
                raise Forbidden(_NOT_OF_ITS_OWN)
            if namespace.kind is NamespaceKind.GROUP:
                visibility = new.visibility or min(visibility, namespace.visibility, key=_openness)
                _check_openness(visibility, namespace)
            project = await rows.tenants.add_project(
                namespace=namespace,
                name=name,
                path=path,
                description=new.description,
                visibility=visibility,
                registry_access=new.registry_access,
                creator_id=caller.user.id,
            )
            if namespace.kind is NamespaceKind.GROUP:
                # A creator below Maintainer would otherwise not be able to run what they just made.
                await rows.tenants.add_project_member(
                    project, caller.user.id, level=AccessLevel.MAINTAINER, expires_at=None
                )
            await rows.audit(
                AuditEvent(
                    action="project.created",
                    actor=f"user:{caller.user.id}",
                    target=f"project:{project.id}",
                    project_id=project.id,
                    namespace_id=namespace.id,
                    token_id=caller.token_id,
                    details={"full_path": project.full_path, "visibility": visibility},
                )
            )
        return project


async def _level(rows: Writing, caller: SignedIn, namespace: Namespace) -> AccessLevel:
    if caller.user.is_admin:
        return AccessLevel.OWNER
    return await rows.tenants.level_in_namespace(caller.user.id, namespace, now=datetime.now(UTC))


def path_problem(path: str, *, is_top_level: bool) -> str | None:
    """Return what is wrong with a path, or None.

    Source: lib/gitlab/path_regex.rb, lib/gitlab/regex.rb (namespace path).
    """
    is_reserved = is_top_level and path.lower() in _RESERVED_TOP_LEVEL
    if not _PATH.fullmatch(path) or len(path) > 255 or path.lower().endswith(_BAD_ENDINGS) or is_reserved:
        return _BAD_PATH
    return None


def _check_path(path: str, *, is_top_level: bool) -> None:
    """Refuse paths that GitLab refuses, and top-level ones that stand in the URL table."""
    problem = path_problem(path, is_top_level=is_top_level)
    if problem is not None:
        raise RecordInvalid({"path": (problem,)})


def _openness(visibility: Visibility) -> int:
    return _OPENNESS[visibility]


def _check_openness(visibility: Visibility, parent: Namespace) -> None:
    if _openness(visibility) > _openness(parent.visibility):
        raise RecordInvalid(
            {
                "visibility_level": (
                    f"{visibility} is not allowed since the parent group has a {parent.visibility} visibility.",
                )
            }
        )
