"""The numbers of the registry, for Prometheus."""

import asyncio

from aiohttp import hdrs, web

from services.api.keys import METRICS, NUMBERS, READY_ANSWERS, USE_CASES, VERSION
from services.api.metrics import looked_up
from shared.metrics import CONTENT_TYPE


async def show(request: web.Request) -> web.StreamResponse:
    """Show all numbers in Prometheus' text format, to administrators only: they tell much of what is here.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats
    """
    metrics, use_cases = request.app[METRICS], request.app[USE_CASES]
    metrics.note_lookups(found=use_cases.memo.found, missed=use_cases.memo.missed)
    ready = request.app[READY_ANSWERS]
    if ready is not None:
        metrics.note_ready_answers(given=ready.given, outdated=ready.outdated)
    gauges = list(looked_up(await use_cases.watch_registry(), version=request.app[VERSION]))
    body = await asyncio.to_thread(request.app[NUMBERS].exposition, gauges)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE, hdrs.CACHE_CONTROL: "no-store"})
