"""Projects. Source: lib/api/projects.rb."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.user import caller
from services.api.keys import PRINCIPAL, USE_CASES, VISIT
from services.api.origin import external_url
from services.api.pagination import read_page_request
from services.api.parameters import query_parameters, read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.presenters.page_response import page_response
from services.api.schemas.out import ProjectSchema, dump_identity, dump_standing
from services.api.schemas.tenant_changes import ProjectChangesSchema, read_project_changes
from services.api.schemas.tenant_lists import ProjectListing, ProjectQuerySchema, read_project_listing
from services.api.schemas.tenants import NewProjectSchema, read_new_project
from shared.models import Project
from shared.pages import Page, PageRequest
from shared.ports.tenant_lists import ProjectStanding


@described(takes=NewProjectSchema, gives=ProjectSchema)
async def create(request: web.Request) -> web.StreamResponse:
    """Add a project."""
    new = read_new_project(await read_parameters(request))
    project = await request.app[USE_CASES].create_project(caller(request), new)
    return json_response(ProjectSchema(Links(external_url(request))).dump(project), status=201)


@described(takes=ProjectQuerySchema, gives=ProjectSchema, is_paged=True)
async def show_all(request: web.Request) -> web.StreamResponse:
    """List the projects that the caller may see."""
    listing, wanted = read_project_listing(query_parameters(request)), read_page_request(request)
    page = await request.app[USE_CASES].list_projects.everywhere(request[PRINCIPAL], listing.query, wanted)
    return project_page(request, listing, wanted, page, known={})


@described(gives=ProjectSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Show a project, with what the caller may do in it."""
    return await _one(request, request[VISIT].project)


@described(takes=ProjectChangesSchema, gives=ProjectSchema)
async def change(request: web.Request) -> web.StreamResponse:
    """Change a project."""
    changes, path = read_project_changes(await read_parameters(request))
    project = await request.app[USE_CASES].change_project(caller(request), request[VISIT].project, changes, path=path)
    return await _one(request, project)


async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a project."""
    await request.app[USE_CASES].delete_project(caller(request), request[VISIT].project)
    return json_response({"message": "202 Accepted"}, status=202)


def project_page(
    request: web.Request,
    listing: ProjectListing,
    wanted: PageRequest,
    page: Page[ProjectStanding],
    *,
    known: Mapping[str, str | int],
) -> web.Response:
    """Return an answer of this page of projects.

    Args:
        known: the parameters that are not those of every list of projects.
    """
    links, query = Links(external_url(request)), listing.query

    def present(one: ProjectStanding) -> dict[str, Any]:
        return dump_identity(one, links) if listing.is_simple else dump_standing(one, request[PRINCIPAL], links)

    parameters: dict[str, str | int] = {
        "order_by": query.order,
        "owned": "true" if query.is_owned else "false",
        "simple": "true" if listing.is_simple else "false",
        "sort": "desc" if query.is_descending else "asc",
        **known,
    }
    return page_response(request, wanted, page, present, parameters=parameters)


async def _one(request: web.Request, project: Project) -> web.Response:
    principal = request[PRINCIPAL]
    standing = await request.app[USE_CASES].list_projects.standing(principal, project)
    return json_response(dump_standing(standing, principal, Links(external_url(request))))
