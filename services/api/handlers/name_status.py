"""What is said of package names as a whole: Larder's own. Source: PEP 792."""

from aiohttp import web

from services.api.endpoint import described
from services.api.keys import USE_CASES, VISIT
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.schemas.name_status import NameStatusSchema, NewNameStatusSchema, dump_marker, read_marker
from shared.names import NormalizedName, normalize_name


@described(gives=NameStatusSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Show the status of a package name."""
    name = _name(request)
    marker = await request.app[USE_CASES].show_name_status(request[VISIT], name)
    return json_response(dump_marker(name, marker))


@described(takes=NewNameStatusSchema, gives=NameStatusSchema)
async def change(request: web.Request) -> web.StreamResponse:
    """Set the status of a package name: active, archived, deprecated or quarantined."""
    name, marker = _name(request), read_marker(await read_parameters(request))
    marker = await request.app[USE_CASES].change_name_status(request[VISIT], name, marker=marker)
    return json_response(dump_marker(name, marker))


def _name(request: web.Request) -> NormalizedName:
    return normalize_name(request.match_info["package_name"])
