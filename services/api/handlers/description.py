"""The API's description of itself."""

from aiohttp import hdrs, web

from services.api.keys import DESCRIPTION


async def openapi(request: web.Request) -> web.StreamResponse:
    """Give the OpenAPI document of all that the API can do."""
    return web.Response(
        body=request.app[DESCRIPTION],
        content_type="application/json",
        headers={hdrs.CACHE_CONTROL: "no-cache"},
    )
