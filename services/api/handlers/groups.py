"""Groups. Source: lib/api/groups.rb."""

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.projects import project_page
from services.api.handlers.user import caller
from services.api.keys import GROUP_VISIT, PRINCIPAL, USE_CASES
from services.api.origin import external_url
from services.api.pagination import read_page_request
from services.api.parameters import query_parameters, read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.presenters.page_response import page_response
from services.api.problems import GroupInvalid
from services.api.schemas.out import GroupSchema, ProjectSchema, dump_group, dump_standing
from services.api.schemas.tenant_changes import GroupChangesSchema, read_group_changes
from services.api.schemas.tenant_lists import (
    GroupDetailSchema,
    GroupQuerySchema,
    ProjectListing,
    ProjectQuerySchema,
    read_group_query,
    read_project_listing,
    wants_projects,
)
from services.api.schemas.tenants import NewGroupSchema, read_new_group
from shared.errors import RecordInvalid
from shared.models import Namespace
from shared.pages import Page, PageRequest
from shared.ports.tenant_lists import GroupReach, ProjectReach
from shared.usecases.tenant_lists import GroupQuery

_FIRST_PROJECTS = PageRequest(number=1, size=100)
"""How many of its projects stand in a group at most."""


@described(takes=NewGroupSchema, gives=GroupSchema)
async def create(request: web.Request) -> web.StreamResponse:
    """Add a group, whose owner the caller becomes."""
    new = read_new_group(await read_parameters(request))
    try:
        group = await request.app[USE_CASES].create_group(caller(request), new)
    except RecordInvalid as error:
        raise GroupInvalid(error.messages) from error
    return json_response(GroupSchema(Links(external_url(request))).dump(group), status=201)


@described(takes=GroupQuerySchema, gives=GroupSchema, is_paged=True)
async def show_all(request: web.Request) -> web.StreamResponse:
    """List groups: to nobody in particular the public ones, to users their own unless they ask for all."""
    query, wanted = read_group_query(query_parameters(request)), read_page_request(request)
    page = await request.app[USE_CASES].list_groups.everywhere(request[PRINCIPAL], query, wanted)
    return _page(request, query, wanted, page)


@described(takes=GroupQuerySchema, gives=GroupSchema, is_paged=True)
async def show_subgroups(request: web.Request) -> web.StreamResponse:
    """List the groups right below a group."""
    return await _below(request, GroupReach.CHILDREN)


@described(takes=GroupQuerySchema, gives=GroupSchema, is_paged=True)
async def show_descendants(request: web.Request) -> web.StreamResponse:
    """List all groups below a group."""
    return await _below(request, GroupReach.DESCENDANTS)


@described(takes=ProjectQuerySchema, gives=ProjectSchema, is_paged=True)
async def show_projects(request: web.Request) -> web.StreamResponse:
    """List the projects of a group, and those below it if they are asked for."""
    listing, wanted = read_project_listing(query_parameters(request)), read_page_request(request)
    reach = ProjectReach.NAMESPACE_AND_BELOW if listing.includes_subgroups else ProjectReach.NAMESPACE
    visit = request[GROUP_VISIT]
    page = await request.app[USE_CASES].list_projects.below(
        visit.principal, visit.group, listing.query, wanted, reach=reach
    )
    known = {"id": request.match_info["group"], "include_subgroups": _truth(listing.includes_subgroups)}
    return project_page(request, listing, wanted, page, known=known)


@described(takes=GroupDetailSchema, gives=GroupSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Show a group, with its newest projects unless they are declined."""
    visit, links = request[GROUP_VISIT], Links(external_url(request))
    group = dump_group(visit.group, links)
    if not wants_projects(query_parameters(request)):
        return json_response(group)
    all_of_them: ProjectListing = read_project_listing({})
    page = await request.app[USE_CASES].list_projects.below(
        visit.principal, visit.group, all_of_them.query, _FIRST_PROJECTS, reach=ProjectReach.NAMESPACE
    )
    projects = [dump_standing(one, visit.principal, links) for one in page.entries]
    return json_response({**group, "projects": projects, "shared_projects": []})


@described(takes=GroupChangesSchema, gives=GroupSchema)
async def change(request: web.Request) -> web.StreamResponse:
    """Change a group."""
    changes, path = read_group_changes(await read_parameters(request))
    group = await request.app[USE_CASES].change_group(caller(request), request[GROUP_VISIT].group, changes, path=path)
    return json_response(dump_group(group, Links(external_url(request))))


async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a group with all that is below it."""
    await request.app[USE_CASES].delete_group(caller(request), request[GROUP_VISIT].group)
    return json_response({"message": "202 Accepted"}, status=202)


async def _below(request: web.Request, reach: GroupReach) -> web.StreamResponse:
    query, wanted = read_group_query(query_parameters(request)), read_page_request(request)
    visit = request[GROUP_VISIT]
    page = await request.app[USE_CASES].list_groups.below(visit.principal, visit.group, query, wanted, reach=reach)
    return _page(request, query, wanted, page)


def _page(request: web.Request, query: GroupQuery, wanted: PageRequest, page: Page[Namespace]) -> web.Response:
    known: dict[str, str | int] = {
        "order_by": query.order,
        "owned": _truth(query.is_owned),
        "sort": "desc" if query.is_descending else "asc",
        "statistics": "false",
    }
    if "group" in request.match_info:
        known["id"] = request.match_info["group"]
    schema = GroupSchema(Links(external_url(request)))
    return page_response(request, wanted, page, schema.dump, parameters=known)


def _truth(claim: bool) -> str:  # noqa: FBT001 - it is what is spelt
    return "true" if claim else "false"
