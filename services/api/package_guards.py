"""Who may pass to the routes of the Packages API."""

from aiohttp import web

from services.api.credentials import read_credentials
from services.api.guards import Guard, project_ref, scopes_of
from services.api.keys import PRINCIPAL, USE_CASES, VISIT
from shared.credentials import Door


async def _may_read_packages_of_project(request: web.Request) -> None:
    visit = await request.app[USE_CASES].package_admission.to_read(
        project_ref(request), read_credentials(request), accepted=scopes_of(request)
    )
    request[VISIT] = visit
    request[PRINCIPAL] = visit.principal


may_read_packages_of_project = Guard(Door.PACKAGES, _may_read_packages_of_project)
"""Readers of the packages of the project in the URL; notes VISIT."""
