"""Serve the API in one process."""

import asyncio
import os
import signal
from socket import socket as Socket  # noqa: N812 - elsewhere the name is a parameter's

import structlog

from services.api.app import create_app
from services.api.protocol import require_c_parser
from services.api.server import listening
from shared.log import configure_logging
from shared.settings import Settings, read_settings

log = structlog.get_logger()


async def serve(settings: Settings, *, socket: Socket | None) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way, bounded, and return.

    Args:
        socket: a bound one to take connections from, which other processes may share; None binds what the settings
            name.
    """
    require_c_parser()
    lines = configure_logging(settings.log_format, process="api")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = create_app(settings, lines=lines)
    async with listening(app, socket) as server:
        log.info("api.started", addresses=[list(bound.getsockname()[:2]) for bound in server.sockets])
        await stop.wait()
    log.info("api.stopped")


if __name__ == "__main__":
    asyncio.run(serve(read_settings(os.environ), socket=None))
