"""Package protection rules. Source: lib/api/project_packages_protection_rules.rb."""

from aiohttp import web

from services.api.conditions import unmodified_since
from services.api.endpoint import described
from services.api.handlers.paths import record_id
from services.api.handlers.user import caller
from services.api.keys import NEW_RULE, RULE_CHANGE, USE_CASES, VISIT
from services.api.presenters.json_response import json_response
from services.api.schemas.protection_rules import RULE_ID, NewRuleSchema, ProtectionRuleSchema, RuleChangeSchema
from shared.protection import ProtectionRuleId


@described(gives=ProtectionRuleSchema, is_list=True)
async def show_all(request: web.Request) -> web.StreamResponse:
    """List the rules of the project, in one piece."""
    rules = await request.app[USE_CASES].list_protection_rules(request[VISIT])
    return json_response(ProtectionRuleSchema(many=True).dump(rules))


@described(takes=NewRuleSchema, gives=ProtectionRuleSchema)
async def create(request: web.Request) -> web.StreamResponse:
    """Add a rule."""
    create_rule = request.app[USE_CASES].create_protection_rule
    rule = await create_rule(caller(request), request[VISIT], terms=request[NEW_RULE])
    return json_response(ProtectionRuleSchema().dump(rule), status=201)


@described(takes=RuleChangeSchema, gives=ProtectionRuleSchema)
async def change(request: web.Request) -> web.StreamResponse:
    """Change a rule."""
    change_rule = request.app[USE_CASES].change_protection_rule
    rule = await change_rule(caller(request), request[VISIT], rule_id=_rule_id(request), change=request[RULE_CHANGE])
    return json_response(ProtectionRuleSchema().dump(rule))


async def delete(request: web.Request) -> web.StreamResponse:
    """Remove a rule."""
    await request.app[USE_CASES].delete_protection_rule(
        caller(request),
        request[VISIT],
        rule_id=_rule_id(request),
        unmodified_since=unmodified_since(request.headers),
    )
    return web.Response(status=204)


def _rule_id(request: web.Request) -> ProtectionRuleId:
    return ProtectionRuleId(record_id(request, RULE_ID, told_as=RULE_ID))
