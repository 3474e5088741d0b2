"""Give every request an id, and one line in the log."""

import asyncio
import secrets

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from services.api.framing import is_last
from services.api.keys import CLIENT, HAS_BEGUN, LIFECYCLE, LOGGED, METRICS, PRINCIPAL, REQUEST_ID
from services.api.origin import client_address
from services.api.routes import endpoint_of
from shared.principals import Known, actor_of

log = structlog.get_logger()

REQUEST_ID_HEADER = "X-Request-Id"
_POLICY = "Content-Security-Policy"
COMMON_HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    _POLICY: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    hdrs.SERVER: "larder",
}
"""What stands in every answer, whoever makes it.

A browser may show its text and follow its links, and no more unless a page has a policy of its own. URLs may hold
tokens, so it tells nobody where it comes from.
"""


def new_request_id() -> str:
    """Return an id for a request. It is always ours: one that a client chose could be made to look like another's."""
    return secrets.token_hex(10)


@web.middleware
async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name the request, and write down how it ended: never its query or headers, which hold secrets."""
    request[REQUEST_ID] = new_request_id()
    request[CLIENT] = client = client_address(request)
    structlog.contextvars.bind_contextvars(request_id=request[REQUEST_ID])
    clock = asyncio.get_running_loop().time
    began_at = clock()
    status: int | None = None
    sent_bytes: int | None = None
    lifecycle = request.app[LIFECYCLE]
    try:
        with lifecycle.request():
            response = await handler(request)
        # Where the head has been sent, it said that the connection is kept: the next answer ends it, or the stop does.
        if (lifecycle.is_draining and not response.prepared) or is_last(request):
            response.force_close()
        status = response.status
        sent_bytes = 0 if request.method == hdrs.METH_HEAD else response.content_length
        return response
    finally:
        endpoint = endpoint_of(request)
        principal = request.get(PRINCIPAL)
        route, seconds = endpoint.path if endpoint else None, clock() - began_at
        request.app[METRICS].note_request(
            method=request.method,
            route=route,
            status=status,
            seconds=seconds,
            sent_bytes=sent_bytes,
            received_bytes=request.content.total_bytes,
        )
        fields = {
            "method": request.method,
            "route": route,
            "status": status,
            "bytes": sent_bytes,
            "received_bytes": request.content.total_bytes,
            "client": str(client) if client else None,
            "seconds": round(seconds, 6),
            "principal": actor_of(principal) if isinstance(principal, Known) else None,
        }
        request[LOGGED] = fields
        if status is None:
            # The client went away, or something broke while the answer was being sent.
            log.warning("request.cut_off", **fields)
        elif status >= 500:
            log.error("request.finished", **fields)
        else:
            log.info("request.finished", **fields)


async def finish_head(request: web.Request, response: web.StreamResponse) -> None:
    """Put in every answer's head what stands in every one; a signal handler for `on_response_prepare`."""
    request[HAS_BEGUN] = True
    of_the_page = response.headers.get(_POLICY, COMMON_HEADERS[_POLICY])
    response.headers.update(COMMON_HEADERS)
    response.headers[_POLICY] = of_the_page
    # Tokens may come in headers of which caches do not know that they make an answer somebody's own.
    response.headers.setdefault(hdrs.CACHE_CONTROL, "private, no-store")
    response.headers[REQUEST_ID_HEADER] = request.get(REQUEST_ID) or new_request_id()
