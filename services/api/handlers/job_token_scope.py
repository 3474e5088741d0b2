"""Whose jobs a project lets in. Source: lib/api/project_job_token_scope.rb."""

from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.paths import record_id
from services.api.handlers.user import caller
from services.api.keys import USE_CASES, VISIT
from services.api.origin import external_url
from services.api.pagination import read_page_request
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.presenters.page_response import page_response
from services.api.schemas.job_token_scope import (
    GroupLinkSchema,
    ProjectLinkSchema,
    ScopeSchema,
    SwitchSchema,
    TargetGroupSchema,
    TargetProjectSchema,
    read_switch,
    read_target_group,
    read_target_project,
)
from services.api.schemas.out import BasicGroupSchema, ProjectSchema, dump_basic_project
from shared.models import NamespaceId, ProjectId
from shared.pages import Page, PageRequest

T = TypeVar("T")


@described(gives=ScopeSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Tell whether the allow-list counts."""
    return json_response(ScopeSchema().dump(request[VISIT].project))


@described(takes=SwitchSchema)
async def switch(request: web.Request) -> web.StreamResponse:
    """Make the allow-list count, or not."""
    is_enabled = read_switch(await read_parameters(request))
    await request.app[USE_CASES].switch_job_token_scope(caller(request), request[VISIT].project, is_enabled=is_enabled)
    return web.Response(status=204)


@described(gives=ProjectSchema, is_paged=True)
async def show_projects(request: web.Request) -> web.StreamResponse:
    """List the projects on the allow-list."""
    wanted = read_page_request(request)
    page = await request.app[USE_CASES].list_job_token_scope.projects(request[VISIT].project, wanted)
    links = Links(external_url(request))
    return _page(request, wanted, page, lambda project: dump_basic_project(project, links))


@described(takes=TargetProjectSchema, gives=ProjectLinkSchema)
async def add_project(request: web.Request) -> web.StreamResponse:
    """Put a project on the allow-list."""
    project = request[VISIT].project
    target_id = read_target_project(await read_parameters(request))
    await request.app[USE_CASES].add_to_job_token_scope.project(caller(request), project, target_id)
    return json_response({"source_project_id": project.id, "target_project_id": target_id}, status=201)


async def remove_project(request: web.Request) -> web.StreamResponse:
    """Take a project from the allow-list."""
    target_id = ProjectId(record_id(request, "target_project_id", told_as="target_project_id"))
    await request.app[USE_CASES].remove_from_job_token_scope.project(caller(request), request[VISIT].project, target_id)
    return web.Response(status=204)


@described(gives=BasicGroupSchema, is_paged=True)
async def show_groups(request: web.Request) -> web.StreamResponse:
    """List the groups on the allow-list."""
    wanted = read_page_request(request)
    page = await request.app[USE_CASES].list_job_token_scope.groups(request[VISIT].project, wanted)
    return _page(request, wanted, page, BasicGroupSchema(Links(external_url(request))).dump)


@described(takes=TargetGroupSchema, gives=GroupLinkSchema)
async def add_group(request: web.Request) -> web.StreamResponse:
    """Put a group on the allow-list."""
    project = request[VISIT].project
    target_id = read_target_group(await read_parameters(request))
    await request.app[USE_CASES].add_to_job_token_scope.group(caller(request), project, target_id)
    return json_response({"source_project_id": project.id, "target_group_id": target_id}, status=201)


async def remove_group(request: web.Request) -> web.StreamResponse:
    """Take a group from the allow-list."""
    target_id = NamespaceId(record_id(request, "target_group_id", told_as="target_group_id"))
    await request.app[USE_CASES].remove_from_job_token_scope.group(caller(request), request[VISIT].project, target_id)
    return web.Response(status=204)


def _page(
    request: web.Request, wanted: PageRequest, page: Page[T], present: Callable[[T], dict[str, Any]]
) -> web.Response:
    return page_response(request, wanted, page, present, parameters={"id": request.match_info["project"]})
