"""What a client is told with whom no request is exchanged: one answer, and the end of the connection."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus

from services.api.middleware.request_log import COMMON_HEADERS, REQUEST_ID_HEADER, new_request_id
from services.api.presenters.json_response import to_json

_REFUSAL_SECONDS = 5.0


def bare_answer(status: HTTPStatus, body: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
    """Return an answer as it goes over the wire, in the same shape as all errors."""
    content = to_json(body).encode()
    told = {
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        **headers,
        **COMMON_HEADERS,
        REQUEST_ID_HEADER: new_request_id(),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Refusal(asyncio.Protocol):
    """Answers 503 as soon as the client says anything, and hangs up: at once when the client does, else soon after.

    Whoever closed without waiting for that would often destroy the answer with a reset before the client has read it.

    Args:
        on_end: called once, when the connection is closed.
    """

    def __init__(self, transport: asyncio.Transport, *, on_end: Callable[[], None]) -> None:
        self._transport = transport
        self._on_end = on_end
        self._has_answered = False
        self._timer = asyncio.get_running_loop().call_later(_REFUSAL_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Answer the first bytes; throw all away."""
        if self._has_answered or self._transport.is_closing():
            return
        self._has_answered = True
        body = {"message": "503 Service Unavailable - there are too many connections, try again in a moment"}
        self._transport.write(bare_answer(HTTPStatus.SERVICE_UNAVAILABLE, body, {"Retry-After": "1"}))
        self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._timer.cancel()
        self._on_end()
