"""Projects."""

from aiohttp import web

from services.api.handlers.user import caller
from services.api.keys import USE_CASES, VISIT
from services.api.origin import external_url
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.schemas.out import ProjectSchema, dump_visit
from services.api.schemas.tenants import read_new_project


async def create(request: web.Request) -> web.StreamResponse:
    """Add a project. Source: lib/api/projects.rb."""
    new = read_new_project(await read_parameters(request))
    project = await request.app[USE_CASES].create_project(caller(request), new)
    return json_response(ProjectSchema(Links(external_url(request))).dump(project), status=201)


async def show(request: web.Request) -> web.StreamResponse:
    """Show a project, with what the caller may do in it. Source: lib/api/projects.rb."""
    return json_response(dump_visit(request[VISIT], Links(external_url(request))))
