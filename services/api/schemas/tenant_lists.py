"""What lists of groups and projects are asked for.

Source: lib/api/groups.rb, lib/api/projects.rb, lib/api/helpers/projects_helpers.rb; contract, control plane 4 and 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.api.schemas.grape import GrapeSchema, Text, Truth, Word
from services.api.schemas.list_fields import Direction, Ids, Level
from shared.models import Visibility
from shared.ports.tenant_lists import GroupOrder, ProjectOrder
from shared.usecases.tenant_lists import GroupQuery, ProjectQuery


class GroupQuerySchema(GrapeSchema):
    """Which groups to list."""

    statistics = Truth()
    skip_groups = Ids()
    all_available = Truth()
    visibility = Word(Visibility)
    search = Text(max_length=255, is_long=True)
    owned = Truth()
    order_by = Word(GroupOrder)
    sort = Word(Direction)
    min_access_level = Level()
    top_level_only = Truth()


class ProjectQuerySchema(GrapeSchema):
    """Which projects to list."""

    order_by = Word(ProjectOrder)
    sort = Word(Direction)
    archived = Truth()
    visibility = Word(Visibility)
    search = Text(max_length=255, is_long=True)
    owned = Truth()
    membership = Truth()
    min_access_level = Level()
    topic = Text(max_length=255, is_long=True)
    simple = Truth()
    include_subgroups = Truth()


class GroupDetailSchema(GrapeSchema):
    """How much of a group to show."""

    with_projects = Truth()


@dataclass(frozen=True, slots=True)
class ProjectListing:
    """A list of projects and how it is told.

    Args:
        is_simple: only what identifies them.
    """

    query: ProjectQuery
    is_simple: bool
    includes_subgroups: bool


def read_group_query(parameters: Mapping[str, Any]) -> GroupQuery:
    """Return which groups are asked for.

    Raises:
        InvalidParameters: that cannot be told.
    """
    found = GroupQuerySchema().read(parameters)
    return GroupQuery(
        search=found.get("search", ""),
        visibility=found["visibility"],
        is_owned=bool(found["owned"]),
        min_access_level=found["min_access_level"],
        is_top_level_only=bool(found["top_level_only"]),
        skipped_ids=found["skip_groups"] or (),
        all_available=found["all_available"],
        order=found["order_by"] or GroupOrder.NAME,
        is_descending=found["sort"] is Direction.DESCENDING,
    )


def read_project_listing(parameters: Mapping[str, Any]) -> ProjectListing:
    """Return which projects are asked for.

    Raises:
        InvalidParameters: that cannot be told.
    """
    found = ProjectQuerySchema().read(parameters)
    query = ProjectQuery(
        search=found.get("search", ""),
        visibility=found["visibility"],
        is_owned=bool(found["owned"]),
        is_membership=bool(found["membership"]),
        min_access_level=found["min_access_level"],
        # Nothing here is ever archived or has a topic.
        matches_nothing=bool(found["archived"]) or bool(found.get("topic")),
        order=found["order_by"] or ProjectOrder.CREATED_AT,
        is_descending=found["sort"] is not Direction.ASCENDING,
    )
    return ProjectListing(
        query=query, is_simple=bool(found["simple"]), includes_subgroups=bool(found["include_subgroups"])
    )


def wants_projects(parameters: Mapping[str, Any]) -> bool:
    """Return whether a group is to be shown with its projects; it is, unless they are declined.

    Raises:
        InvalidParameters: that cannot be told.
    """
    return GroupDetailSchema().read(parameters)["with_projects"] is not False
