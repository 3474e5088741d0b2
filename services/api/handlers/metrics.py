"""The numbers of the registry, for Prometheus."""

from aiohttp import hdrs, web

from services.api.keys import NUMBERS, USE_CASES, VERSION
from services.api.metrics import looked_up
from shared.metrics import CONTENT_TYPE


async def show(request: web.Request) -> web.StreamResponse:
    """Show all numbers in Prometheus' text format, to administrators only: they tell much of what is here.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats
    """
    watched = await request.app[USE_CASES].watch_registry()
    body = await request.app[NUMBERS].exposition(list(looked_up(watched, version=request.app[VERSION])))
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE, hdrs.CACHE_CONTROL: "no-store"})
