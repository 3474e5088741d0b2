"""Who may pass to the routes that change packages."""

from aiohttp import web

from services.api.credentials import read_credentials
from services.api.guards import Guard, project_ref, scopes_of
from services.api.keys import PRINCIPAL, USE_CASES, VISIT
from shared.credentials import Door


async def _may_change_packages(request: web.Request) -> None:
    visit = await request.app[USE_CASES].package_admission.to_change(
        project_ref(request), read_credentials(request), accepted=scopes_of(request)
    )
    request[VISIT] = visit
    request[PRINCIPAL] = visit.principal


may_change_packages = Guard(Door.PACKAGES, _may_change_packages)
"""Maintainers of the project in the URL, where its registry is not switched off; notes VISIT."""
