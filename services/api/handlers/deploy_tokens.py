"""Deploy tokens of groups and projects. Source: lib/api/deploy_tokens.rb."""

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.paths import record_id
from services.api.handlers.user import caller
from services.api.keys import GROUP_VISIT, USE_CASES, VISIT
from services.api.pagination import read_page_request
from services.api.parameters import query_parameters, read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.page_response import page_response
from services.api.problems import DeployTokenInvalid
from services.api.schemas.deploy_tokens import (
    DeployTokenQuerySchema,
    DeployTokenSchema,
    NewDeployTokenSchema,
    dump_issued,
    read_new_deploy_token,
    wants_only_active,
)
from shared.errors import RecordInvalid
from shared.models import TokenId
from shared.ports.token_rows import TokenSource


@described(takes=DeployTokenQuerySchema, gives=DeployTokenSchema, is_paged=True)
async def show_all(request: web.Request) -> web.StreamResponse:
    """List the tokens of all groups and projects."""
    only_active = wants_only_active(query_parameters(request))
    wanted = read_page_request(request)
    page = await request.app[USE_CASES].list_deploy_tokens.everywhere(wanted, only_active=only_active)
    return page_response(request, wanted, page, DeployTokenSchema().dump)


@described(takes=DeployTokenQuerySchema, gives=DeployTokenSchema, is_paged=True)
async def show_of_source(request: web.Request) -> web.StreamResponse:
    """List the tokens of a group or project."""
    only_active = wants_only_active(query_parameters(request))
    wanted = read_page_request(request)
    page = await request.app[USE_CASES].list_deploy_tokens.of_source(_source(request), wanted, only_active=only_active)
    known = {"id": request.match_info.get("group") or request.match_info["project"]}
    return page_response(request, wanted, page, DeployTokenSchema().dump, parameters=known)


@described(takes=NewDeployTokenSchema, gives=DeployTokenSchema)
async def create(request: web.Request) -> web.StreamResponse:
    """Make a token for a group or project, and tell its secret this once."""
    new = read_new_deploy_token(await read_parameters(request))
    try:
        issued = await request.app[USE_CASES].create_deploy_token(caller(request), _source(request), new)
    except RecordInvalid as error:
        raise DeployTokenInvalid(error.messages) from error
    return json_response(dump_issued(issued), status=201)


@described(gives=DeployTokenSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Show a token of a group or project."""
    token = await request.app[USE_CASES].show_deploy_token(_source(request), _token_id(request))
    return json_response(DeployTokenSchema().dump(token))


async def revoke(request: web.Request) -> web.StreamResponse:
    """Revoke a token of a group or project."""
    await request.app[USE_CASES].revoke_deploy_token(caller(request), _source(request), _token_id(request))
    return web.Response(status=204)


def _source(request: web.Request) -> TokenSource:
    return request[GROUP_VISIT].group if GROUP_VISIT in request else request[VISIT].project


def _token_id(request: web.Request) -> TokenId:
    return TokenId(record_id(request, "token", told_as="token_id"))
