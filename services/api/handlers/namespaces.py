"""Groups and personal namespaces alike.

Source: lib/api/namespaces.rb; contract, control plane 11.
"""

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.paths import record_id
from services.api.handlers.user import caller
from services.api.keys import USE_CASES
from services.api.origin import external_url
from services.api.pagination import read_page_request
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.presenters.page_response import page_response
from services.api.schemas.namespaces import NamespaceQuerySchema, read_namespace_query
from services.api.schemas.out import NamespaceSchema
from shared.errors import InvalidParameters
from shared.models import NamespaceId


@described(takes=NamespaceQuerySchema, gives=NamespaceSchema, is_paged=True)
async def index(request: web.Request) -> web.StreamResponse:
    """List the caller's namespaces, or all to an administrator."""
    wanted = read_namespace_query(await read_parameters(request))
    page = read_page_request(request)
    found = await request.app[USE_CASES].list_namespaces(caller(request), wanted, page)
    return page_response(request, page, found, NamespaceSchema(Links(external_url(request))).dump)


@described(gives=NamespaceSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Show a namespace by its number or path."""
    namespace = await request.app[USE_CASES].show_namespace(caller(request), _ref(request))
    return json_response(NamespaceSchema(Links(external_url(request))).dump(namespace))


def _ref(request: web.Request) -> NamespaceId | str:
    try:
        return NamespaceId(record_id(request, "namespace", told_as="id"))
    except InvalidParameters:
        return request.match_info["namespace"]
