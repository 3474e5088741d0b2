"""What administrators decide for the whole instance.

Source: lib/api/settings.rb, lib/api/admin/plan_limits.rb; contract, control plane 11.
"""

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.user import caller
from services.api.keys import USE_CASES
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.schemas.settings import (
    LimitsSchema,
    NewLimitsSchema,
    NewSettingsSchema,
    PlanSchema,
    SettingsSchema,
    check_plan,
    read_limits_change,
    read_settings_change,
)


@described(gives=SettingsSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Tell the settings."""
    return json_response(SettingsSchema().dump(await request.app[USE_CASES].show_settings()))


@described(takes=NewSettingsSchema, gives=SettingsSchema)
async def change(request: web.Request) -> web.StreamResponse:
    """Change settings, and tell all of them."""
    changes = read_settings_change(await read_parameters(request))
    return json_response(SettingsSchema().dump(await request.app[USE_CASES].change_settings(caller(request), changes)))


@described(takes=PlanSchema, gives=LimitsSchema)
async def show_limits(request: web.Request) -> web.StreamResponse:
    """Tell the limits of the one plan."""
    check_plan(await read_parameters(request))
    return json_response(LimitsSchema().dump(await request.app[USE_CASES].show_settings()))


@described(takes=NewLimitsSchema, gives=LimitsSchema)
async def change_limits(request: web.Request) -> web.StreamResponse:
    """Change limits, and tell all of them."""
    changes = read_limits_change(await read_parameters(request))
    return json_response(LimitsSchema().dump(await request.app[USE_CASES].change_settings(caller(request), changes)))
