"""Who may pass to the routes that change packages, and to single files of the Packages API."""

from aiohttp import web

from services.api.credentials import read_credentials
from services.api.guards import Guard, project_ref, scopes_of
from services.api.keys import PRINCIPAL, USE_CASES, VISIT
from shared.access import require_destroy, require_packages
from shared.credentials import Door
from shared.usecases.admission import pull_rules
from shared.usecases.visits import Visit


async def _may_fetch_package_files(request: web.Request) -> None:
    visit = await _visit(request)
    require_packages(visit.principal, visit.project, visit.level, pull_rules(visit.settings))
    _note(request, visit)


async def _may_change_packages(request: web.Request) -> None:
    visit = await _visit(request)
    require_destroy(visit.principal, visit.project, visit.level, pull_rules(visit.settings))
    _note(request, visit)


may_fetch_package_files = Guard(Door.PACKAGES, _may_fetch_package_files)
"""Readers of the packages of the project in the URL; notes VISIT."""
may_change_packages = Guard(Door.PACKAGES, _may_change_packages)
"""Maintainers of the project in the URL, where its registry is not switched off; notes VISIT."""


async def _visit(request: web.Request) -> Visit:
    return await request.app[USE_CASES].admission.to_project(
        project_ref(request),
        read_credentials(request),
        door=Door.PACKAGES,
        accepted=scopes_of(request),
        told_as="Project",
    )


def _note(request: web.Request, visit: Visit) -> None:
    request[VISIT] = visit
    request[PRINCIPAL] = visit.principal
