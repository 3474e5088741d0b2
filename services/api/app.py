"""The web application."""

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web

from services.api.keys import DESCRIPTION, LIFECYCLE, SETTINGS, USE_CASES, VERSION
from services.api.lifecycle import Lifecycle
from services.api.middleware.auth import run_guard
from services.api.middleware.errors import answer_errors
from services.api.middleware.request_log import finish_head, log_request
from services.api.openapi import describe_api
from services.api.presenters.json_response import to_json
from services.api.protocol import HANDLER_ARGS
from services.api.routes import ENDPOINTS, add_routes
from services.api.use_cases import make_use_cases
from shared.backends import open_backends
from shared.settings import Settings


def create_app(settings: Settings) -> web.Application:
    """Return the application; it opens its backends when it starts and closes them when it ends."""
    app = web.Application(middlewares=[log_request, answer_errors, run_guard], handler_args=HANDLER_ARGS)
    app[SETTINGS] = settings
    add_routes(app)
    app.on_response_prepare.append(finish_head)
    app.cleanup_ctx.append(_live)
    return app


async def _live(app: web.Application) -> AsyncIterator[None]:
    async with open_backends(app[SETTINGS]) as backends:
        app[USE_CASES] = make_use_cases(app[SETTINGS], backends)
        app[VERSION] = await asyncio.to_thread(_installed_version)
        app[DESCRIPTION] = await asyncio.to_thread(_description, app[VERSION])
        app[LIFECYCLE] = Lifecycle()
        yield


def _description(version: str) -> bytes:
    return to_json(describe_api(ENDPOINTS, version=version)).encode()


def _installed_version() -> str:
    try:
        return version("larder")
    except PackageNotFoundError:
        return "unknown"  # It runs from its source, without being installed.
