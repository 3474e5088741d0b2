"""The connection: how long it may wait or stall, and what is answered to bytes that are no request."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD

from services.api.connections import MOST_REFUSALS, Connections
from services.api.keepable import is_whole_head, ready_answer
from services.api.middleware.request_log import COMMON_HEADERS, REQUEST_ID_HEADER, new_request_id
from services.api.offers import Client
from services.api.origin import direct_client
from services.api.presenters.json_response import json_response
from services.api.ready_answers import LONGEST_HEAD_BYTES, Asked
from services.api.refusal import Refusal, bare_answer
from services.api.sending import SendingWatch
from shared.limits import Limits
from shared.usecases.memo import traced

log = structlog.get_logger()

MAX_HEADERS = 128
"""How many header lines a request may have, those after a chunked body among them."""
LINGERING_SECONDS = 5.0
"""How long a body that a route does not read is still received after a good answer; refusals see to this themselves."""


def handler_args(limits: Limits) -> dict[str, Any]:
    """Return what aiohttp must know of each connection."""
    return {
        "access_log": None,  # the request log says it once, with ids
        "auto_decompress": False,  # a small compressed body would grow without bounds
        "keepalive_timeout": limits.idle_seconds,
        "lingering_time": LINGERING_SECONDS,
        "max_line_size": limits.max_header_bytes,
        "max_field_size": limits.max_header_bytes,
        "max_headers": MAX_HEADERS,
    }


_TOO_MANY_HEADERS = "Too many headers received"
"""How aiohttp words it; it has no class for it."""


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = (
        "_begun_digest",
        "_connections",
        "_head_timer",
        "_is_between_requests",
        "_key",
        "_ready",
        "_sending",
        "_waits_since",
        "asked",
        "client",
    )

    def __init__(self, server: web.Server, connections: Connections) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, **handler_args(connections.limits))
        self._connections = connections
        self._waits_since = loop.time()
        self._head_timer: asyncio.TimerHandle | None = None
        self._sending: SendingWatch | None = None
        self._ready = connections.ready_answers
        self._is_between_requests = True
        self._key: bytes | None = None
        self.asked: Asked | None = None
        self.client: Client | None = None

    @property
    def idle_since(self) -> float | None:
        """Return since when no request is under way; None while one is."""
        return self._waits_since if self._is_waiting() and self.asked is None else None

    def _is_waiting(self) -> bool:
        # aiohttp tells nobody that it waits for a whole head; this is what it waits on.
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or hand it to somebody who only says that there are too many."""
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        if self._connections.admit(self, peer[0] if isinstance(peer, tuple) else None):
            self._see_peer(peer[0] if isinstance(peer, tuple) else "")
            super().connection_made(transport)
            return
        self._manager = None  # It never learns of this connection.
        if self._connections.refusals >= MOST_REFUSALS:
            transport.abort()
            return
        log.warning("connection.refused", client=peer[0] if isinstance(peer, tuple) else None)
        transport.set_protocol(Refusal(transport, on_end=self._connections.note_refusal()))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of all that belongs to the connection."""
        self._connections.forget(self)
        self._stop_head_timer()
        self._stop_sending_watch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes: a head for which an answer is ready, or anything else."""
        if (
            self._ready is not None
            and self._is_between_requests
            and len(data) <= LONGEST_HEAD_BYTES
            and self.asked is None
            and self._is_waiting()
        ):
            digest = self._begun_digest.copy()
            digest.update(data)
            self._key = key = digest.digest()
            answer = self._ready.find(key)
            if answer is not None:
                now = self._loop.time()
                self._next_keepalive_close_time = now + self._keepalive_timeout
                self._ready.ask(Asked(self, data, key, answer, now))
                return
        elif self.asked is not None:
            data = self.asked.head + data
            self.asked = None
        self.receive(data)

    def receive(self, data: bytes) -> None:
        """Take bytes; from the first ones of a head on, the rest of it must come within the stall limit."""
        was_between, was_waiting = self._is_between_requests, self._is_waiting()
        super().data_received(data)
        # One head came as a whole and became a request without a body: nothing of it is left in the parser.
        self._is_between_requests = (
            was_waiting and len(self._messages) == 1 and self._messages[0][1] is EMPTY_PAYLOAD and is_whole_head(data)
        )
        if was_waiting and not (was_between and self._is_between_requests):
            self._key = None
        if self.idle_since is None:
            self._stop_head_timer()
        elif self._head_timer is None and data.strip(b"\r\n"):
            self._head_timer = self._loop.call_later(self._connections.limits.stall_seconds, self._give_up_head)

    def can_be_answered(self) -> bool:
        """Say whether it is open, waits for a request, and has sent all that it was given before."""
        transport = self.transport
        return (
            transport is not None
            and not (self._force_close or self._close or self._paused)
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
            and self._is_waiting()
        )

    def answer(self, data: bytes, at: float) -> None:
        """Send the whole answer to the request that came last, at this instant by the loop's clock."""
        assert self.transport is not None
        self.transport.write(data)
        self._key = None
        self._waits_since = at

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent, but not for ever."""
        super().pause_writing()
        if self.transport is not None:
            self._sending = SendingWatch(
                self.transport, stall_seconds=self._connections.limits.stall_seconds, on_stall=self._give_up_sending
            )

    def resume_writing(self) -> None:
        """Go on sending."""
        self._stop_sending_watch()
        super().resume_writing()

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        """Handle a request, and keep its answer for those who send the same head again."""
        key, self._key = self._key, None
        if key is None or self._ready is None:
            return await super()._handle_request(request, start_time, request_handler)
        with traced() as trace:
            response, has_failed = await super()._handle_request(request, start_time, request_handler)
        answer = None if has_failed else ready_answer(request, response, trace.terms(), self._ready.line)
        if answer is not None:
            self._ready.keep(key, answer)
        return response, has_failed

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send what is left of the answer; that belongs to the request as its handler does."""
        with self._connections.lifecycle.request():
            try:
                return await super().finish_response(request, resp, start_time)
            finally:
                self._waits_since = self._loop.time()

    def _see_peer(self, peer: str) -> None:
        if self._ready is not None:
            address = direct_client(peer, self._connections.trusted_proxies)
            self.client = Client.at(address) if address is not None else None
            self._begun_digest = self._ready.digest("" if self.client else peer)

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self.idle_since is None or self.transport is None:
            return
        log.info("request.head_stalled")
        self.transport.write(bare_answer(HTTPStatus.REQUEST_TIMEOUT, {"error": "408 Request Timeout"}, {}))
        self.force_close()

    def _give_up_sending(self) -> None:
        self._sending = None
        if self.transport is not None:
            log.info("answer.stalled")
            self.transport.abort()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_sending_watch(self) -> None:
        if self._sending is not None:
            self._sending.stop()
            self._sending = None

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
        if isinstance(exc, BadHttpMessage) and status == HTTPStatus.BAD_REQUEST:
            status = _status_of(exc)
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


def _status_of(fault: BadHttpMessage) -> int:
    """Return what a head is answered with that aiohttp's parser does not take."""
    if isinstance(fault, LineTooLong) or fault.message == _TOO_MANY_HEADERS:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE.value
    return HTTPStatus.BAD_REQUEST.value


def require_c_parser() -> None:
    """Refuse to run with aiohttp's slow, less strict parser, which stands in where its C one could not be loaded.

    Raises:
        RuntimeError: it is the slow one.
    """
    if HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise RuntimeError("aiohttp runs without its C parser; install a build that has it")
