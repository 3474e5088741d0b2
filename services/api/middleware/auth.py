"""Run the guard of the route before anything else of it, the reading of the body above all."""

from aiohttp import web
from aiohttp.typedefs import Handler

from services.api.routes import endpoint_of


@web.middleware
async def run_guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let those pass whom the route's guard lets pass."""
    endpoint = endpoint_of(request)
    if endpoint is not None:
        await endpoint.guard.admit(request)
    return await handler(request)
