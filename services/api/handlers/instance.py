"""What clients ask about the installation itself."""

from aiohttp import web

from services.api.keys import VERSION
from services.api.presenters.json_response import json_response

_REVISION = "unknown"


async def version(request: web.Request) -> web.StreamResponse:
    """Tell the version of the registry. Source: lib/api/metadata.rb."""
    return json_response({"version": request.app[VERSION], "revision": _REVISION})


async def metadata(request: web.Request) -> web.StreamResponse:
    """Tell the version of the registry, and what it has none of. Source: lib/api/metadata.rb."""
    agent_server = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    return json_response(
        {"version": request.app[VERSION], "revision": _REVISION, "kas": agent_server, "enterprise": False}
    )
