"""Answers that a client may keep if it asks each time whether they still hold."""

import hashlib

from aiohttp import hdrs, web

from services.api.conditions import is_known, strong_etag


def revalidated_response(request: web.Request, body: bytes, *, content_type: str, is_public: bool) -> web.Response:
    """Return the body, or 304 when the client has this very one.

    pip and others keep pages as long as they are told; `no-cache` makes them ask, and the strong ETag makes that cheap.

    Args:
        is_public: everybody gets the very same answer.
    """
    etag = strong_etag(hashlib.sha256(body).hexdigest())
    headers = {
        hdrs.ETAG: etag,
        hdrs.CACHE_CONTROL: "no-cache" if is_public else "private, no-cache",
        hdrs.VARY: "Accept",
    }
    if is_known(request.headers, etag=etag, modified_at=None):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type, **headers})
