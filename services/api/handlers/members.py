"""Members of groups and projects. Source: lib/api/members.rb."""

from collections.abc import Mapping

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.paths import record_id
from services.api.handlers.user import caller
from services.api.keys import GROUP_VISIT, USE_CASES, VISIT
from services.api.origin import external_url
from services.api.pagination import read_page_request
from services.api.parameters import query_parameters, read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.presenters.page_response import page_response
from services.api.schemas.members import (
    MemberChangeSchema,
    MemberQuerySchema,
    MemberRemovalSchema,
    MembershipSchema,
    NewMembersSchema,
    dump_member,
    read_invitation,
    read_member_change,
    read_member_query,
    wants_subresources_kept,
)
from shared.models import Membership, UserId
from shared.pages import Page, PageRequest
from shared.ports.member_rows import MemberSource


@described(takes=MemberQuerySchema, gives=MembershipSchema, is_paged=True)
async def show_direct(request: web.Request) -> web.StreamResponse:
    """List the source's own members."""
    search, user_ids = read_member_query(query_parameters(request))
    wanted = read_page_request(request)
    page = await request.app[USE_CASES].list_members.direct(
        caller(request), _source(request), wanted, search=search, user_ids=user_ids
    )
    return _page(request, wanted, page)


@described(takes=MemberQuerySchema, gives=MembershipSchema, is_paged=True)
async def show_effective(request: web.Request) -> web.StreamResponse:
    """List all who have a level in the source, inherited or not."""
    search, user_ids = read_member_query(query_parameters(request))
    wanted = read_page_request(request)
    page = await request.app[USE_CASES].list_members.effective(
        caller(request), _source(request), wanted, search=search, user_ids=user_ids
    )
    return _page(request, wanted, page)


@described(gives=MembershipSchema)
async def show_one_direct(request: web.Request) -> web.StreamResponse:
    """Show a member of the source itself."""
    user_id = _user_id(request)
    return _one(request, await request.app[USE_CASES].list_members.direct_one(_source(request), user_id))


@described(gives=MembershipSchema)
async def show_one_effective(request: web.Request) -> web.StreamResponse:
    """Show a member of the source, inherited or not."""
    user_id = _user_id(request)
    return _one(request, await request.app[USE_CASES].list_members.effective_one(_source(request), user_id))


@described(takes=NewMembersSchema, gives=MembershipSchema)
async def add(request: web.Request) -> web.StreamResponse:
    """Make one user or several members of the source."""
    invitation = read_invitation(await read_parameters(request))
    added = await request.app[USE_CASES].add_members(caller(request), _source(request), invitation.new)
    if invitation.is_of_several:
        return json_response({"status": "success"}, status=201)
    return _one(request, added[0], status=201)


@described(takes=MemberChangeSchema, gives=MembershipSchema)
async def change(request: web.Request) -> web.StreamResponse:
    """Change a direct membership."""
    user_id = _user_id(request)
    wanted = read_member_change(await read_parameters(request))
    return _one(request, await request.app[USE_CASES].change_member(caller(request), _source(request), user_id, wanted))


@described(takes=MemberRemovalSchema)
async def remove(request: web.Request) -> web.StreamResponse:
    """End a direct membership, and those below it unless that is declined."""
    user_id = _user_id(request)
    remove_member = request.app[USE_CASES].remove_member
    if wants_subresources_kept(await read_parameters(request)):
        await remove_member.alone(caller(request), _source(request), user_id)
    else:
        await remove_member.with_subresources(caller(request), _source(request), user_id)
    return web.Response(status=204)


def _source(request: web.Request) -> MemberSource:
    return request[GROUP_VISIT].group if GROUP_VISIT in request else request[VISIT].project


def _user_id(request: web.Request) -> UserId:
    return UserId(record_id(request, "user_id", told_as="user_id"))


def _one(request: web.Request, member: Membership, *, status: int = 200) -> web.Response:
    return json_response(dump_member(member, Links(external_url(request))), status=status)


def _page(request: web.Request, wanted: PageRequest, page: Page[Membership]) -> web.Response:
    links = Links(external_url(request))
    known: Mapping[str, str | int] = {"id": request.match_info.get("group") or request.match_info["project"]}
    return page_response(request, wanted, page, lambda member: dump_member(member, links), parameters=known)
