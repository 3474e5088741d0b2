"""The tokens of CI jobs. Source: contract, control plane 11."""

from aiohttp import web

from services.api.endpoint import described
from services.api.guards import project_ref
from services.api.handlers.paths import record_id
from services.api.handlers.user import caller
from services.api.keys import USE_CASES, VISIT
from services.api.origin import external_url
from services.api.pagination import read_page_request
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.presenters.page_response import page_response
from services.api.schemas.job_tokens import JobTokenSchema, NewJobTokenSchema, dump_issued_job_token, read_new_job_token
from shared.models import TokenId


@described(takes=NewJobTokenSchema, gives=JobTokenSchema)
async def create(request: web.Request) -> web.StreamResponse:
    """Let a job begin, and tell its token this once."""
    new = read_new_job_token(await read_parameters(request))
    issued = await request.app[USE_CASES].create_job_token(caller(request), request[VISIT].project, new)
    return json_response(dump_issued_job_token(issued, Links(external_url(request))), status=201)


@described(gives=JobTokenSchema, is_paged=True)
async def show_all(request: web.Request) -> web.StreamResponse:
    """List the project's jobs that run."""
    wanted = read_page_request(request)
    page = await request.app[USE_CASES].list_job_tokens(request[VISIT].project, wanted)
    known = {"id": request.match_info["project"]}
    return page_response(request, wanted, page, JobTokenSchema(Links(external_url(request))).dump, parameters=known)


async def end(request: web.Request) -> web.StreamResponse:
    """Let a job end."""
    token_id = TokenId(record_id(request, "token", told_as="token_id"))
    await request.app[USE_CASES].end_job_token(caller(request), project_ref(request), token_id)
    return web.Response(status=204)
