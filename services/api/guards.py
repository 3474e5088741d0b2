"""Who may pass to a route's handler. No route is without one of these; they run before the body is read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

from services.api.credentials import read_credentials
from services.api.keys import GROUP_VISIT, PRINCIPAL, USE_CASES, VISIT
from shared.credentials import Door
from shared.principals import PERSONAL_TOKEN_SCOPES
from shared.usecases.admission import Admission
from shared.usecases.visits import GroupRef, ProjectRef, Visit, parse_group_ref, parse_project_ref


@dataclass(frozen=True, slots=True)
class Guard:
    """A check at the door.

    Args:
        door: which credentials count, and how a 401 is told; None where nobody is asked for any.
        admit: lets the request pass, noting PRINCIPAL and VISIT on it, or raises a domain error.
    """

    door: Door | None
    admit: Callable[[web.Request], Awaitable[None]]


def project_ref(request: web.Request) -> ProjectRef | None:
    """Return what the `:id` of the URL refers to; None for what no project can ever be called."""
    return parse_project_ref(request.match_info["project"])


def group_ref(request: web.Request) -> GroupRef | None:
    """Return the group that the `:id` of the URL refers to; None for what no group can ever be called."""
    return parse_group_ref(request.match_info["group"])


def scopes_of(request: web.Request) -> tuple[str, ...]:
    """Return the scopes of which a token needs one, as GitLab names them (lib/api/api.rb)."""
    return ("api", "read_api") if request.method in (hdrs.METH_GET, hdrs.METH_HEAD) else ("api",)


async def _nothing(request: web.Request) -> None:
    pass


async def _signed_in(request: web.Request) -> None:
    request[PRINCIPAL] = await _admission(request).signed_in(
        read_credentials(request), door=Door.CONTROL, accepted=scopes_of(request)
    )


async def _signed_in_to_learn_who(request: web.Request) -> None:
    request[PRINCIPAL] = await _admission(request).signed_in(
        read_credentials(request), door=Door.CONTROL, accepted=(*scopes_of(request), "read_user")
    )


async def _with_own_token(request: web.Request) -> None:
    request[PRINCIPAL] = await _admission(request).with_own_token(
        read_credentials(request), accepted=PERSONAL_TOKEN_SCOPES
    )


async def _to_rotate_own_token(request: web.Request) -> None:
    request[PRINCIPAL] = await _admission(request).with_own_token(
        read_credentials(request), accepted=(*scopes_of(request), "self_rotate")
    )


async def _anybody_to_learn_who(request: web.Request) -> None:
    request[PRINCIPAL] = await _admission(request).principal(
        read_credentials(request), door=Door.CONTROL, accepted=(*scopes_of(request), "read_user")
    )


async def _administrator(request: web.Request) -> None:
    request[PRINCIPAL] = await _admission(request).administrator(
        read_credentials(request), door=Door.CONTROL, accepted=scopes_of(request)
    )


async def _may_pull(request: web.Request) -> None:
    visit = await request.app[USE_CASES].remembered_admission.to_project(
        project_ref(request), read_credentials(request), accepted=scopes_of(request)
    )
    _note(request, visit)


async def _may_pull_from_group(request: web.Request) -> None:
    visit = await request.app[USE_CASES].remembered_admission.to_group(
        group_ref(request), read_credentials(request), accepted=scopes_of(request)
    )
    request[GROUP_VISIT] = visit
    request[PRINCIPAL] = visit.principal


async def _may_push(request: web.Request) -> None:
    visit = await request.app[USE_CASES].remembered_admission.to_push(
        project_ref(request), read_credentials(request), accepted=scopes_of(request)
    )
    _note(request, visit)


open_to_all = Guard(None, _nothing)
"""Anybody; nobody is asked who they are."""
signed_in = Guard(Door.CONTROL, _signed_in)
"""Users with a personal access token; notes PRINCIPAL, a SignedIn."""
signed_in_to_learn_who = Guard(Door.CONTROL, _signed_in_to_learn_who)
"""As `signed_in`; a token that can only tell who its user is suffices."""
with_own_token = Guard(Door.OWN_TOKEN, _with_own_token)
"""As `signed_in`; any personal token suffices, whatever its scopes, and any other kind is told so."""
to_rotate_own_token = Guard(Door.OWN_TOKEN, _to_rotate_own_token)
"""As `with_own_token`; of narrow tokens only those that can rotate themselves."""
anybody_to_learn_who = Guard(Door.CONTROL, _anybody_to_learn_who)
"""Anybody, who is asked who they are; a token that can only tell who its user is suffices. Notes PRINCIPAL."""
administrator = Guard(Door.CONTROL, _administrator)
"""Administrators with a personal access token; notes PRINCIPAL, a SignedIn."""
may_pull = Guard(Door.PYPI, _may_pull)
"""Readers of the packages of the project in the URL; notes VISIT."""
may_pull_from_group = Guard(Door.PYPI, _may_pull_from_group)
"""Readers of the packages of the group in the URL; notes GROUP_VISIT."""
may_push = Guard(Door.PYPI, _may_push)
"""Publishers to the project in the URL; notes VISIT."""


def _admission(request: web.Request) -> Admission:
    return request.app[USE_CASES].admission


def _note(request: web.Request, visit: Visit) -> None:
    request[VISIT] = visit
    request[PRINCIPAL] = visit.principal
