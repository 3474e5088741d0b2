"""Run the application on a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket as Socket  # noqa: N812 - elsewhere the name is a parameter's

import structlog
from aiohttp import web

from services.api.connections import Connections, provide_descriptors
from services.api.keys import LIFECYCLE, READY_ANSWERS, SETTINGS
from services.api.protocol import Connection

log = structlog.get_logger()

_CUT_OFF_SECONDS = 1.0
"""How long a request that was cut off may take to notice."""
_BACKLOG = 1024


@asynccontextmanager
async def listening(app: web.Application, socket: Socket | None) -> AsyncIterator[asyncio.Server]:
    """Start the application and take connections until the block ends; then finish what is under way, bounded.

    Connections are taken for a while after that, where the settings say so: whoever spreads requests over several
    processes learns only then that this one is not ready any more.

    Args:
        socket: a bound one, which other processes may share; None binds what the settings name.
    """
    runner = web.AppRunner(app, shutdown_timeout=_CUT_OFF_SECONDS)
    try:
        await runner.setup()
        connections = _connections(app)
        server = await _listen(runner, app, socket, connections)
        try:
            yield server
        finally:
            app[LIFECYCLE].drain()
            log.info("api.draining", requests=app[LIFECYCLE].requests_under_way)
            try:
                await asyncio.sleep(app[SETTINGS].drain_seconds)
            finally:  # Whoever has no time to wait for others still lets what is under way come to its end.
                async with _grace(app):
                    server.close()
                    # aiohttp itself would stop to read their bodies at once.
                    await app[LIFECYCLE].idle()
                    await connections.end()
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _grace(app: web.Application) -> AsyncIterator[None]:
    """Give the block as long as the settings say, and note what was not finished by then."""
    try:
        async with asyncio.timeout(app[SETTINGS].limits.grace_seconds):
            yield
    except TimeoutError:
        log.warning("api.requests_cut_off", count=app[LIFECYCLE].requests_under_way)


def _connections(app: web.Application) -> Connections:
    settings = app[SETTINGS]
    return Connections(
        limits=settings.limits,
        lifecycle=app[LIFECYCLE],
        trusted_proxies=settings.trusted_proxies,
        most=provide_descriptors(settings.limits.max_connections),
        ready_answers=app[READY_ANSWERS],
    )


async def _listen(
    runner: web.AppRunner, app: web.Application, socket: Socket | None, connections: Connections
) -> asyncio.Server:
    web_server = runner.server
    if web_server is None:
        raise RuntimeError("the runner is not set up")

    def connect() -> Connection:
        return Connection(web_server, connections)

    # Not one of aiohttp's sites: they would make connections of their own kind.
    loop = asyncio.get_running_loop()
    if socket is not None:
        return await loop.create_server(connect, sock=socket, backlog=_BACKLOG)
    settings = app[SETTINGS]
    return await loop.create_server(connect, settings.host, settings.port, backlog=_BACKLOG)
