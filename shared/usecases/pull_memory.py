"""What is remembered of what a visitor may pull: under which keys, and for how long it holds.

What one project offers is counted by the project. What a group offers to somebody depends on who they are, which is
part of the key; on the access facts below its top-level namespace; and on all projects that they may pull from there.
"""

from datetime import datetime
from typing import TypeVar

from shared.models import CounterScope
from shared.ports.change_checks import Stamps
from shared.ports.metadata_store import Reading
from shared.ports.pull_sources import GroupPull, OfDeployToken, OfJob, OfMember, OwnProjects, PullSource
from shared.usecases.memo import Derived, Key
from shared.usecases.visits import AnyVisit, GroupVisit

T = TypeVar("T")

_MOST_PROJECTS = 1_000
"""Of larger groups nothing is remembered: on SQLite a look at so many counters holds up the loop for milliseconds."""


def key_of(source: PullSource) -> Key:
    """Return what tells the source from all others, whenever it is asked for."""
    match source:
        case GroupPull(group_id=group_id, open_visibilities=open_visibilities, own=own):
            return ("group", group_id, open_visibilities, _key_of_own(own))
        case _:
            return ("project", source)


async def derived_from(
    rows: Reading, visit: AnyVisit, source: PullSource, *, value: T, size_bytes: int, now: datetime
) -> Derived[T]:
    """Return the value with its stamps, read in the snapshot that it was derived from.

    Args:
        now: when the memberships counted.
    """
    counters = await rows.packages.counters(source, limit=_MOST_PROJECTS + 1)
    if not isinstance(visit, GroupVisit) or not isinstance(source, GroupPull):
        return Derived(value, Stamps(counters), size_bytes=size_bytes)
    if len(counters) > _MOST_PROJECTS:
        return Derived(value, None, size_bytes=size_bytes)
    namespace = await rows.counters([(CounterScope.NAMESPACE, visit.group.top_level_id)])
    member = _member_of(source.own)
    ends_at = None if member is None else await rows.members.next_end(member.user_id, now=now)
    return Derived(value, Stamps(counters | namespace), size_bytes=size_bytes, ends_at=ends_at)


def _key_of_own(own: OwnProjects | None) -> Key | None:
    match own:
        case None:
            return None
        case OfMember(user_id=user_id, lowest_level=lowest_level):
            return ("member", user_id, lowest_level)
        case OfJob(project=project, member=member):
            return ("job", project.id, project.namespace.ancestor_ids, _key_of_own(member))
        case OfDeployToken(project_id=project_id, namespace_id=namespace_id):
            return ("deploy token", project_id, namespace_id)


def _member_of(own: OwnProjects | None) -> OfMember | None:
    match own:
        case OfMember():
            return own
        case OfJob(member=member):
            return member
        case OfDeployToken() | None:
            return None
