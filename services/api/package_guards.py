"""Who may pass to the routes of the Packages API, and to the pages that show packages."""

from aiohttp import web

from services.api.credentials import read_credentials
from services.api.guards import Guard, project_ref, scopes_of
from services.api.keys import PRINCIPAL, USE_CASES, VISIT
from services.api.presenters.pages import SIGN_IN
from shared.access import may_read_packages
from shared.credentials import Door
from shared.errors import Forbidden, NotFound, Unauthenticated
from shared.principals import Anonymous
from shared.usecases.admission import pull_rules
from shared.usecases.authentication import brings_secret
from shared.usecases.visits import Visit


async def _may_read_packages_of_project(request: web.Request) -> None:
    visit = await request.app[USE_CASES].package_admission.to_read(
        project_ref(request), read_credentials(request), accepted=scopes_of(request)
    )
    _note(request, visit)


async def _may_change_packages(request: web.Request) -> None:
    visit = await request.app[USE_CASES].package_admission.to_change(
        project_ref(request), read_credentials(request), accepted=scopes_of(request)
    )
    _note(request, visit)


async def _may_look_at_packages(request: web.Request) -> None:
    """Let in whom `may_pull` does, where they may see the project itself; all others are told alike.

    Whoever might be let in with other credentials is not told so, because that would tell that something is there. They
    are asked for credentials only if they want to be asked, or have brought some that are good for nothing.
    """
    use_cases, credentials = request.app[USE_CASES], read_credentials(request)
    principal = await use_cases.admission.principal(credentials, door=Door.PYPI, accepted=scopes_of(request))
    request[PRINCIPAL] = principal
    ref = project_ref(request)
    try:
        visit = await use_cases.tenant_admission.to_project(ref if isinstance(ref, str) else None, principal)
    except NotFound:
        is_asking = SIGN_IN in request.query or brings_secret(credentials, Door.PYPI)
        if isinstance(principal, Anonymous) and is_asking:
            raise Unauthenticated from None
        raise
    if not may_read_packages(principal, visit.project, visit.level, pull_rules(visit.settings)):
        raise Forbidden
    request[VISIT] = visit


may_read_packages_of_project = Guard(Door.PACKAGES, _may_read_packages_of_project)
"""Readers of the packages of the project in the URL; notes VISIT."""
may_change_packages = Guard(Door.PACKAGES, _may_change_packages)
"""Maintainers of the project in the URL, where its registry is not switched off; notes VISIT."""
may_look_at_packages = Guard(Door.PYPI, _may_look_at_packages)
"""Readers of the packages of the project whose path stands in the URL; notes VISIT."""


def _note(request: web.Request, visit: Visit) -> None:
    request[VISIT] = visit
    request[PRINCIPAL] = visit.principal
