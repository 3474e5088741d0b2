"""Who may pass to the protection rules of a project.

GitLab checks the parameters of these routes before it asks who calls, so their guards read them: at most 1 MiB, within
a minute. What they read they note for the handler.

Source: contract, Packages 1.3; lib/api/project_packages_protection_rules.rb (after_validation).
"""

from aiohttp import web

from services.api.credentials import read_credentials
from services.api.guards import Guard, project_ref, scopes_of
from services.api.keys import NEW_RULE, PRINCIPAL, RULE_CHANGE, USE_CASES, VISIT
from services.api.parameters import Parameters, read_parameters
from services.api.schemas.protection_rules import RULE_ID, check_rule_id, read_new_rule, read_rule_change
from shared.access import may_administer_packages
from shared.credentials import Door
from shared.errors import Forbidden


async def _may_list(request: web.Request) -> None:
    await _admit(request)


async def _may_create(request: web.Request) -> None:
    request[NEW_RULE] = read_new_rule(await read_parameters(request))
    await _admit(request)


async def _may_change(request: web.Request) -> None:
    request[RULE_CHANGE] = read_rule_change(await read_parameters(request) | _in_path(request))
    await _admit(request)


async def _may_delete(request: web.Request) -> None:
    check_rule_id(_in_path(request))
    await _admit(request)


may_list_rules = Guard(Door.CONTROL, _may_list)
"""Maintainers of the project in the URL; notes VISIT."""
may_create_rules = Guard(Door.CONTROL, _may_create)
"""As `may_list_rules`, with the parameters of a rule; notes NEW_RULE too."""
may_change_rules = Guard(Door.CONTROL, _may_change)
"""As `may_list_rules`, with the parameters of a change; notes RULE_CHANGE too."""
may_delete_rules = Guard(Door.CONTROL, _may_delete)
"""As `may_list_rules`, with a number for a rule."""


async def _admit(request: web.Request) -> None:
    use_cases = request.app[USE_CASES]
    caller = await use_cases.admission.signed_in(
        read_credentials(request), door=Door.CONTROL, accepted=scopes_of(request)
    )
    request[PRINCIPAL] = caller
    visit = await use_cases.tenant_admission.to_project(project_ref(request), caller)
    if not may_administer_packages(caller, visit.project, visit.level):
        raise Forbidden
    request[VISIT] = visit


def _in_path(request: web.Request) -> Parameters:
    return {RULE_ID: request.match_info[RULE_ID]}
