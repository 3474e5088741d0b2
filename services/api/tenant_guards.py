"""Who may pass to the routes of groups and projects themselves, and of their members."""

from aiohttp import hdrs, web

from services.api.credentials import read_credentials
from services.api.guards import Guard
from services.api.keys import GROUP_VISIT, PRINCIPAL, USE_CASES, VISIT
from shared.credentials import Door
from shared.models import Principal
from shared.usecases.admission import ProjectRef, parse_project_ref
from shared.usecases.tenant_admission import GroupRef, TenantAdmission, parse_group_ref


async def _anybody(request: web.Request) -> None:
    await _principal(request)


async def _may_see_group(request: web.Request) -> None:
    request[GROUP_VISIT] = await _admission(request).to_group(_group(request), await _principal(request))


async def _signed_in_to_group(request: web.Request) -> None:
    request[GROUP_VISIT] = await _admission(request).to_group(_group(request), await _signed_in(request))


async def _may_administer_group(request: web.Request) -> None:
    caller = await _signed_in(request)
    request[GROUP_VISIT] = await _admission(request).to_administer_group(_group(request), caller)


async def _signed_in_to_project(request: web.Request) -> None:
    request[VISIT] = await _admission(request).to_project(_project(request), await _signed_in(request))


async def _may_administer_project(request: web.Request) -> None:
    caller = await _signed_in(request)
    request[VISIT] = await _admission(request).to_administer_project(_project(request), caller)


async def _may_delete_project(request: web.Request) -> None:
    request[VISIT] = await _admission(request).to_delete_project(_project(request), await _signed_in(request))


anybody = Guard(Door.CONTROL, _anybody)
"""Anybody, but whoever says who they are must say so truly; notes PRINCIPAL."""
may_see_group = Guard(Door.CONTROL, _may_see_group)
"""Those for whom the group in the URL exists; notes GROUP_VISIT."""
signed_in_to_group = Guard(Door.CONTROL, _signed_in_to_group)
"""Users for whom the group in the URL exists; notes GROUP_VISIT."""
may_administer_group = Guard(Door.CONTROL, _may_administer_group)
"""Owners of the group in the URL; notes GROUP_VISIT."""
signed_in_to_project = Guard(Door.CONTROL, _signed_in_to_project)
"""Users for whom the project in the URL exists; notes VISIT."""
may_administer_project = Guard(Door.CONTROL, _may_administer_project)
"""Maintainers of the project in the URL; notes VISIT."""
may_delete_project = Guard(Door.CONTROL, _may_delete_project)
"""Owners of the project in the URL; notes VISIT."""


async def _principal(request: web.Request) -> Principal:
    found = await request.app[USE_CASES].admission.principal(
        read_credentials(request), door=Door.CONTROL, accepted=_scopes(request)
    )
    request[PRINCIPAL] = found
    return found


async def _signed_in(request: web.Request) -> Principal:
    found = await request.app[USE_CASES].admission.signed_in(
        read_credentials(request), door=Door.CONTROL, accepted=_scopes(request)
    )
    request[PRINCIPAL] = found
    return found


def _admission(request: web.Request) -> TenantAdmission:
    return request.app[USE_CASES].tenant_admission


def _group(request: web.Request) -> GroupRef | None:
    return parse_group_ref(request.match_info["group"])


def _project(request: web.Request) -> ProjectRef | None:
    return parse_project_ref(request.match_info["project"])


def _scopes(request: web.Request) -> tuple[str, ...]:
    """Return the scopes of which a token needs one, as GitLab names them (lib/api/api.rb)."""
    return ("api", "read_api") if request.method in (hdrs.METH_GET, hdrs.METH_HEAD) else ("api",)
