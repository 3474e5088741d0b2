"""Groups."""

from aiohttp import web

from services.api.handlers.user import caller
from services.api.keys import USE_CASES
from services.api.origin import external_url
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.problems import GroupInvalid
from services.api.schemas.out import GroupSchema
from services.api.schemas.tenants import read_new_group
from shared.errors import RecordInvalid


async def create(request: web.Request) -> web.StreamResponse:
    """Add a group, whose owner the caller becomes. Source: lib/api/groups.rb."""
    new = read_new_group(await read_parameters(request))
    try:
        group = await request.app[USE_CASES].create_group(caller(request), new)
    except RecordInvalid as error:
        raise GroupInvalid(error.messages) from error
    return json_response(GroupSchema(Links(external_url(request))).dump(group), status=201)
