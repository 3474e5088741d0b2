"""The connection: how long it may idle, and what is answered to bytes that are no request."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser

from services.api.middleware.request_log import COMMON_HEADERS, REQUEST_ID_HEADER, new_request_id
from services.api.presenters.json_response import json_response

log = structlog.get_logger()

HANDLER_ARGS: Mapping[str, Any] = MappingProxyType(
    {
        "access_log": None,  # the request log says it once, with ids
        "auto_decompress": False,  # a small compressed body would grow without bounds
        "keepalive_timeout": 75.0,
        "lingering_time": 5.0,  # refusals see to this themselves
    }
)


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request, in the same shape as all errors, without repeating what was sent.

        aiohttp's own answer and log line quote the offending bytes, which may be a token in a broken header.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun and cannot be replaced")
        request_id = new_request_id()
        if status < 500:
            log.info("request.malformed", request_id=request_id, status=status, fault=type(exc).__name__)
        else:
            log.error("request.failed", request_id=request_id, status=status, exc_info=exc)
        response = json_response(
            {"error": f"{status} {HTTPStatus(status).phrase}"},
            status=status,
            headers={**COMMON_HEADERS, REQUEST_ID_HEADER: request_id},
        )
        response.force_close()
        return response


def make_connection(server: web.Server) -> Connection:
    """Return the protocol of a new connection to this server."""
    return Connection(server, loop=asyncio.get_running_loop(), **HANDLER_ARGS)


def require_c_parser() -> None:
    """Refuse to run with aiohttp's slow, less strict parser, which stands in where its C one could not be loaded.

    Raises:
        RuntimeError: it is the slow one.
    """
    if HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise RuntimeError("aiohttp runs without its C parser; install a build that has it")
