"""Users."""

from aiohttp import web

from services.api.endpoint import described
from services.api.keys import PRINCIPAL
from services.api.origin import external_url
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.schemas.users import OwnUserSchema
from shared.errors import Unauthenticated
from shared.principals import SignedIn


def caller(request: web.Request) -> SignedIn:
    """Return the user whom the guard let in.

    Raises:
        Unauthenticated: the route's guard lets anybody in, and this was anybody.
    """
    principal = request[PRINCIPAL]
    if not isinstance(principal, SignedIn):
        raise Unauthenticated
    return principal


@described(gives=OwnUserSchema)
async def show_self(request: web.Request) -> web.StreamResponse:
    """Show the caller to himself. Source: lib/api/users.rb."""
    return json_response(OwnUserSchema(Links(external_url(request))).dump(caller(request).user))
