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
from services.api.schemas.job_tokens import (
    JobTokenSchema,
    NewJobTokenSchema,
    dump_issued_job_token,
    dump_job_token,
    read_new_job_token,
)
from shared.models import TokenId


@described(takes=NewJobTokenSchema, gives=JobTokenSchema)
async def create(request: web.Request) -> web.StreamResponse:
    """Let a job begin, and tell its token this once."""
    project, links = request[VISIT].project, Links(external_url(request))
    new = read_new_job_token(await read_parameters(request))
    issued = await request.app[USE_CASES].create_job_token(caller(request), project, new)
    return json_response(dump_issued_job_token(issued, of=project, links=links), status=201)


@described(gives=JobTokenSchema, is_paged=True)
async def show_all(request: web.Request) -> web.StreamResponse:
    """List the project's jobs that run."""
    project, links = request[VISIT].project, Links(external_url(request))
    wanted = read_page_request(request)
    page = await request.app[USE_CASES].list_job_tokens(project, wanted)
    known = {"id": request.match_info["project"]}
    return page_response(
        request, wanted, page, lambda job: dump_job_token(job, of=project, links=links), parameters=known
    )


async def end(request: web.Request) -> web.StreamResponse:
    """Let a job end."""
    token_id = TokenId(record_id(request, "token", told_as="token_id"))
    await request.app[USE_CASES].end_job_token(caller(request), project_ref(request), token_id)
    return web.Response(status=204)
