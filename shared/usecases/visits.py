"""The places that a URL names, and those who come to them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.models import (
    AccessLevel,
    InstanceSettings,
    Namespace,
    NamespaceId,
    NamespaceKind,
    Project,
    ProjectId,
    RegistryAccess,
    Visibility,
)
from shared.ports.metadata_store import Reading, Writing
from shared.principals import Principal

_LARGEST_ID = 2**63 - 1
_LONGEST_PATH = 4096

_NO_GROUP = Namespace(
    id=NamespaceId(0),
    kind=NamespaceKind.GROUP,
    parent_id=None,
    ancestor_ids=(NamespaceId(0),),
    name="",
    path="",
    full_path="",
    description="",
    visibility=Visibility.PRIVATE,
    created_at=datetime(1970, 1, 1, tzinfo=UTC),
)
_NO_PROJECT = Project(
    id=ProjectId(0),
    namespace=_NO_GROUP,
    name="",
    path="",
    full_path="",
    description="",
    visibility=Visibility.PRIVATE,
    registry_access=RegistryAccess.ENABLED,
    creator_id=None,
    created_at=_NO_GROUP.created_at,
)

ProjectRef = ProjectId | str
GroupRef = NamespaceId | str
"""A project or group as a URL names it: by number, or by full path."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who came to a project.

    Args:
        level: the caller's highest level in it; NO_ACCESS where the project's visibility alone let them in.
        settings: those of the instance at that moment.
    """

    principal: Principal
    project: Project
    level: AccessLevel
    settings: InstanceSettings

    @property
    def tenant(self) -> Project:
        """Return where they came."""
        return self.project


@dataclass(frozen=True, slots=True)
class GroupVisit:
    """Somebody who came to a group.

    Args:
        level: the caller's highest level in it; NO_ACCESS where its visibility, or something below it, let them in.
        is_member_below: the caller is a member of something below it; False too where nobody needed to know.
        settings: those of the instance at that moment.
    """

    principal: Principal
    group: Namespace
    level: AccessLevel
    is_member_below: bool
    settings: InstanceSettings

    @property
    def tenant(self) -> Namespace:
        """Return where they came."""
        return self.group


AnyVisit = Visit | GroupVisit
"""Somebody who came to a project or a group."""


def parse_project_ref(text: str) -> ProjectRef | None:
    """Return what the `:id` of a URL refers to; None for what no project can ever be called.

    Source: GitLab's find_project (lib/api/helpers.rb): digits are an id, anything else must hold a slash.
    """
    if _is_number(text):
        return ProjectId(int(text)) if _is_id(text) else None
    return text if "/" in text and _is_path(text) else None


def parse_group_ref(text: str) -> GroupRef | None:
    """Return what the `:id` of a URL refers to; None for what no group can ever be called.

    Source: GitLab's find_group (lib/api/helpers.rb): digits are an id, anything else is a full path.
    """
    if _is_number(text):
        return NamespaceId(int(text)) if _is_id(text) else None
    return text if _is_path(text) else None


async def find_project(rows: Reading | Writing, ref: ProjectRef | None) -> Project | None:
    """Return the project that is referred to, or None."""
    match ref:
        case None:
            return None
        case str():
            return await rows.tenants.project_by_path(ref)
        case _:
            return await rows.tenants.project(ref)


async def find_group(rows: Reading, ref: GroupRef | None) -> Namespace | None:
    """Return the group that is referred to, or None: a personal namespace is none."""
    match ref:
        case None:
            return None
        case str():
            found = await rows.tenants.namespace_by_path(ref)
        case _:
            found = await rows.tenants.namespace(ref)
    return found if found is not None and found.kind is NamespaceKind.GROUP else None


def project_or_none_at_all(found: Project | None) -> Project:
    """Return the project, or one in which nobody is anything, in the place of one that does not exist.

    All that is looked up of a project is then looked up of a missing one too, and the time that a refusal takes does
    not tell whether there is anything to be refused.
    """
    return found if found is not None else _NO_PROJECT


def group_or_none_at_all(found: Namespace | None) -> Namespace:
    """Return the group, or one in which nobody is anything; see `project_or_none_at_all`."""
    return found if found is not None else _NO_GROUP


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit()


def _is_id(text: str) -> bool:
    return len(text) < 20 and 0 < int(text) <= _LARGEST_ID


def _is_path(text: str) -> bool:
    return bool(text) and len(text) <= _LONGEST_PATH and "\0" not in text
