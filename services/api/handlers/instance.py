"""What clients ask about the installation itself."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from aiohttp import web

from services.api.presenters.json_response import json_response

_UNKNOWN = "unknown"


async def version(_: web.Request) -> web.StreamResponse:
    """Tell the version of the registry. Source: lib/api/metadata.rb."""
    return json_response({"version": _installed(), "revision": _UNKNOWN})


async def metadata(_: web.Request) -> web.StreamResponse:
    """Tell the version of the registry, and what it has none of. Source: lib/api/metadata.rb."""
    agent_server = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    return json_response({"version": _installed(), "revision": _UNKNOWN, "kas": agent_server, "enterprise": False})


def _installed() -> str:
    try:
        return installed_version("larder")
    except PackageNotFoundError:
        return _UNKNOWN  # It runs from its source, without being installed.
