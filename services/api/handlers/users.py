"""Users, as others see them."""

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.paths import record_id
from services.api.handlers.user import caller
from services.api.keys import PRINCIPAL, USE_CASES
from services.api.origin import external_url
from services.api.pagination import read_page_request
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.presenters.page_response import page_response
from services.api.schemas.users import (
    FullUserSchema,
    NewUserSchema,
    UserBasicSchema,
    UserFilterSchema,
    UserSchema,
    read_new_user,
    read_user_filter,
)
from shared.models import UserId
from shared.principals import SignedIn


@described(takes=UserFilterSchema, gives=UserBasicSchema, is_paged=True)
async def index(request: web.Request) -> web.StreamResponse:
    """List users, newest first. Source: lib/api/users.rb."""
    wanted = read_user_filter(await read_parameters(request), caller=request[PRINCIPAL])
    page = read_page_request(request)
    found = await request.app[USE_CASES].list_users(request[PRINCIPAL], wanted, page)
    schema = (FullUserSchema if _is_administrator(request) else UserBasicSchema)(Links(external_url(request)))
    return page_response(request, page, found, schema.dump)


@described(gives=UserSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Show a user. Source: lib/api/users.rb."""
    user = await request.app[USE_CASES].show_user(request[PRINCIPAL], _user_id(request))
    schema = (FullUserSchema if _is_administrator(request) else UserSchema)(Links(external_url(request)))
    return json_response(schema.dump(user))


@described(takes=NewUserSchema, gives=FullUserSchema)
async def create(request: web.Request) -> web.StreamResponse:
    """Add a user. Source: lib/api/users.rb."""
    user = await request.app[USE_CASES].create_user(caller(request), read_new_user(await read_parameters(request)))
    return json_response(FullUserSchema(Links(external_url(request))).dump(user), status=201)


async def block(request: web.Request) -> web.StreamResponse:
    """Keep a user out. Source: lib/api/users.rb."""
    await request.app[USE_CASES].block_user(caller(request), _user_id(request))
    return json_response(True, status=201)


async def unblock(request: web.Request) -> web.StreamResponse:
    """Let a user in again. Source: lib/api/users.rb."""
    await request.app[USE_CASES].unblock_user(caller(request), _user_id(request))
    return json_response(True, status=201)


def _user_id(request: web.Request) -> UserId:
    return UserId(record_id(request, "user", told_as="id"))


def _is_administrator(request: web.Request) -> bool:
    principal = request[PRINCIPAL]
    return isinstance(principal, SignedIn) and principal.user.is_admin
