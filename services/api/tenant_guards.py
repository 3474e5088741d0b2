"""Who may pass to the routes of groups and projects themselves, and of their members."""

from aiohttp import web

from services.api.credentials import read_credentials
from services.api.guards import Guard, group_ref, project_ref, scopes_of
from services.api.keys import GROUP_VISIT, PRINCIPAL, USE_CASES, VISIT
from shared.credentials import Door
from shared.principals import Principal
from shared.usecases.tenant_admission import TenantAdmission


async def _anybody(request: web.Request) -> None:
    await _principal(request)


async def _may_see_group(request: web.Request) -> None:
    request[GROUP_VISIT] = await _admission(request).to_group(group_ref(request), await _principal(request))


async def _signed_in_to_group(request: web.Request) -> None:
    request[GROUP_VISIT] = await _admission(request).to_group(group_ref(request), await _signed_in(request))


async def _may_administer_group(request: web.Request) -> None:
    caller = await _signed_in(request)
    request[GROUP_VISIT] = await _admission(request).to_administer_group(group_ref(request), caller)


async def _may_read_deploy_tokens_of_group(request: web.Request) -> None:
    caller = await _signed_in(request)
    request[GROUP_VISIT] = await _admission(request).to_deploy_tokens_of_group(group_ref(request), caller)


async def _may_see_project(request: web.Request) -> None:
    request[VISIT] = await _admission(request).to_project(project_ref(request), await _principal(request))


async def _signed_in_to_project(request: web.Request) -> None:
    request[VISIT] = await _admission(request).to_project(project_ref(request), await _signed_in(request))


async def _may_administer_project(request: web.Request) -> None:
    caller = await _signed_in(request)
    request[VISIT] = await _admission(request).to_administer_project(project_ref(request), caller)


async def _may_delete_project(request: web.Request) -> None:
    request[VISIT] = await _admission(request).to_delete_project(project_ref(request), await _signed_in(request))


anybody = Guard(Door.CONTROL, _anybody)
"""Anybody, but whoever says who they are must say so truly; notes PRINCIPAL."""
may_see_group = Guard(Door.CONTROL, _may_see_group)
"""Those for whom the group in the URL exists; notes GROUP_VISIT."""
signed_in_to_group = Guard(Door.CONTROL, _signed_in_to_group)
"""Users for whom the group in the URL exists; notes GROUP_VISIT."""
may_administer_group = Guard(Door.CONTROL, _may_administer_group)
"""Owners of the group in the URL; notes GROUP_VISIT."""
may_read_deploy_tokens_of_group = Guard(Door.CONTROL, _may_read_deploy_tokens_of_group)
"""Maintainers of the group in the URL; notes GROUP_VISIT."""
may_see_project = Guard(Door.CONTROL, _may_see_project)
"""Those for whom the project in the URL exists; notes VISIT."""
signed_in_to_project = Guard(Door.CONTROL, _signed_in_to_project)
"""Users for whom the project in the URL exists; notes VISIT."""
may_administer_project = Guard(Door.CONTROL, _may_administer_project)
"""Maintainers of the project in the URL; notes VISIT."""
may_delete_project = Guard(Door.CONTROL, _may_delete_project)
"""Owners of the project in the URL; notes VISIT."""


async def _principal(request: web.Request) -> Principal:
    found = await request.app[USE_CASES].admission.principal(
        read_credentials(request), door=Door.CONTROL, accepted=scopes_of(request)
    )
    request[PRINCIPAL] = found
    return found


async def _signed_in(request: web.Request) -> Principal:
    found = await request.app[USE_CASES].admission.signed_in(
        read_credentials(request), door=Door.CONTROL, accepted=scopes_of(request)
    )
    request[PRINCIPAL] = found
    return found


def _admission(request: web.Request) -> TenantAdmission:
    return request.app[USE_CASES].tenant_admission
