"""The API's description of itself."""

import asyncio

from aiohttp import web

from services.api.keys import DESCRIPTION
from services.api.presenters.json_response import json_response


async def openapi(request: web.Request) -> web.StreamResponse:
    """Give the OpenAPI document of all that the API can do."""
    document = await asyncio.to_thread(request.app[DESCRIPTION])
    return json_response(document)
