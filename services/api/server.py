"""Run the application on a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from socket import socket as Socket  # noqa: N812 - elsewhere the name is a parameter's

import structlog
from aiohttp import web

from services.api.keys import LIFECYCLE, SETTINGS
from services.api.lifecycle import Lifecycle
from services.api.protocol import make_connection

log = structlog.get_logger()

SHUTDOWN_SECONDS = 30.0
"""How long requests that are under way may take to finish."""
_LAST_BYTES_SECONDS = 1.0
_BACKLOG = 1024


@asynccontextmanager
async def listening(app: web.Application, socket: Socket | None) -> AsyncIterator[asyncio.Server]:
    """Start the application and take connections until the block ends; then finish what is under way, bounded.

    Args:
        socket: a bound one, which other processes may share; None binds what the settings name.
    """
    runner = web.AppRunner(app, shutdown_timeout=_LAST_BYTES_SECONDS)
    try:
        await runner.setup()
        server = await _listen(runner, app, socket)
        try:
            yield server
        finally:
            app[LIFECYCLE].drain()
            server.close()
            log.info("api.draining", requests=app[LIFECYCLE].requests_under_way)
            await _finish_requests(app[LIFECYCLE])
    finally:
        await runner.cleanup()


async def _finish_requests(lifecycle: Lifecycle) -> None:
    """Wait for the requests that are under way; aiohttp itself would stop to read their bodies at once."""
    try:
        async with asyncio.timeout(SHUTDOWN_SECONDS):
            await lifecycle.idle()
    except TimeoutError:
        log.warning("api.requests_cut_off", count=lifecycle.requests_under_way)


async def _listen(runner: web.AppRunner, app: web.Application, socket: Socket | None) -> asyncio.Server:
    if runner.server is None:
        raise RuntimeError("the runner is not set up")
    # Not one of aiohttp's sites: they would make connections of their own kind.
    connect = partial(make_connection, runner.server)
    loop = asyncio.get_running_loop()
    if socket is not None:
        return await loop.create_server(connect, sock=socket, backlog=_BACKLOG)
    settings = app[SETTINGS]
    return await loop.create_server(connect, settings.host, settings.port, backlog=_BACKLOG)
