"""Personal access tokens.

Source: lib/api/personal_access_tokens.rb, lib/api/personal_access_tokens/self_information.rb and self_rotation.rb,
lib/api/users.rb.
"""

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.paths import record_id
from services.api.handlers.user import caller
from services.api.keys import USE_CASES
from services.api.pagination import read_page_request
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.page_response import page_response
from services.api.schemas.personal_tokens import (
    NewTokenSchema,
    PersonalTokenSchema,
    RotationSchema,
    TokenFilterSchema,
    dump_issued,
    read_new_token,
    read_rotation,
    read_token_filter,
)
from shared.errors import NotFound
from shared.models import TokenId, UserId


@described(takes=NewTokenSchema, gives=PersonalTokenSchema)
async def create(request: web.Request) -> web.StreamResponse:
    """Make a token for a user, and tell its secret this once."""
    user_id = UserId(record_id(request, "user", told_as="user_id"))
    new = read_new_token(await read_parameters(request))
    issued = await request.app[USE_CASES].create_personal_token(caller(request), user_id, new)
    return json_response(dump_issued(issued), status=201)


@described(takes=TokenFilterSchema, gives=PersonalTokenSchema, is_paged=True)
async def index(request: web.Request) -> web.StreamResponse:
    """List the caller's tokens, or everybody's to an administrator.

    Raises:
        NotFound: an administrator asks for those of nobody, which is not the same as not asking.
    """
    parameters = await read_parameters(request)
    wanted = read_token_filter(parameters)
    page = read_page_request(request)
    if wanted.user_id is None and "user_id" in parameters and caller(request).user.is_admin:
        raise NotFound
    found = await request.app[USE_CASES].list_personal_tokens(caller(request), wanted, page)
    return page_response(request, page, found, PersonalTokenSchema().dump)


@described(gives=PersonalTokenSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Show a token."""
    return await _show(request, _token_id(request))


@described(gives=PersonalTokenSchema)
async def show_own(request: web.Request) -> web.StreamResponse:
    """Show the token that the caller came with."""
    return await _show(request, caller(request).token_id)


async def revoke(request: web.Request) -> web.StreamResponse:
    """Revoke a token."""
    return await _revoke(request, _token_id(request))


async def revoke_own(request: web.Request) -> web.StreamResponse:
    """Revoke the token that the caller came with."""
    return await _revoke(request, caller(request).token_id)


@described(takes=RotationSchema, gives=PersonalTokenSchema)
async def rotate(request: web.Request) -> web.StreamResponse:
    """Put a new token in the place of one."""
    return await _rotate(request, _token_id(request))


@described(takes=RotationSchema, gives=PersonalTokenSchema)
async def rotate_own(request: web.Request) -> web.StreamResponse:
    """Put a new token in the place of the one that the caller came with."""
    return await _rotate(request, caller(request).token_id)


async def _show(request: web.Request, token_id: TokenId) -> web.StreamResponse:
    token = await request.app[USE_CASES].show_personal_token(caller(request), token_id)
    return json_response(PersonalTokenSchema().dump(token))


async def _revoke(request: web.Request, token_id: TokenId) -> web.StreamResponse:
    await request.app[USE_CASES].revoke_personal_token(caller(request), token_id)
    return web.Response(status=204)


async def _rotate(request: web.Request, token_id: TokenId) -> web.StreamResponse:
    expires_on = read_rotation(await read_parameters(request))
    issued = await request.app[USE_CASES].rotate_personal_token(caller(request), token_id, expires_on=expires_on)
    return json_response(dump_issued(issued))


def _token_id(request: web.Request) -> TokenId:
    return TokenId(record_id(request, "token", told_as="id"))
