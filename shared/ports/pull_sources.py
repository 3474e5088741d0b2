"""Where installers look for packages: in one project, or in those projects of a group that somebody may pull from.

Who may pull from which project is said by `shared.access`. Here it is taken apart, so that a store can ask for it in
the very query that looks for packages: however many projects a group has, none of them costs a query. A test compares
the two.
"""

from dataclasses import dataclass
from datetime import datetime

from shared.models import AccessLevel, NamespaceId, Project, ProjectId, UserId, Visibility


@dataclass(frozen=True, slots=True)
class OfMember:
    """Projects in which a user has this level at this instant, directly or through their namespaces."""

    user_id: UserId
    lowest_level: AccessLevel
    now: datetime


@dataclass(frozen=True, slots=True)
class OfJob:
    """Projects that let in the jobs of a project, out of those that are the own ones of the jobs' user.

    Args:
        project: whose jobs they are.
        member: which are the user's own; None: all, for the user is an administrator.
    """

    project: Project
    member: OfMember | None


@dataclass(frozen=True, slots=True)
class OfDeployToken:
    """The project that a deploy token is for, or all those in its group and below it."""

    project_id: ProjectId | None
    namespace_id: NamespaceId | None


OwnProjects = OfMember | OfJob | OfDeployToken


@dataclass(frozen=True, slots=True)
class GroupPull:
    """Somebody pulls from a group: from its projects and those below it that are open to them, or their own.

    Projects whose registry is off are not among them.

    Args:
        open_visibilities: projects of these are open to them; to an administrator, all are.
        own: None: they have no projects of their own.
    """

    group_id: NamespaceId
    open_visibilities: frozenset[Visibility]
    own: OwnProjects | None


PullSource = ProjectId | GroupPull
"""A project is let be pulled from as a whole, before anything is looked for in it."""
