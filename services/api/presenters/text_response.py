"""Answers that a client may keep if it asks each time whether they still hold."""

import hashlib

from aiohttp import hdrs, web

from services.api.conditions import is_known, strong_etag
from services.api.presenters.compression import Coding, choose_coding, encode


async def revalidated_response(
    request: web.Request, body: bytes, *, content_type: str, is_public: bool, form: str = ""
) -> web.Response:
    """Return the body, or 304 when the client has this very one.

    pip and others keep pages as long as they are told; `no-cache` makes them ask, and the strong ETag makes that cheap.

    Args:
        is_public: everybody gets the very same answer.
        form: what tells this answer from another with the same bytes under another content type. A cache that is told
            304 would else hand out the one for the other.
    """
    coding = choose_coding(request.headers.getall(hdrs.ACCEPT_ENCODING, []), size_bytes=len(body))
    etag = _tag_of(body, form, coding)
    headers = {
        hdrs.ETAG: etag,
        hdrs.CACHE_CONTROL: "no-cache" if is_public else "private, no-cache",
        hdrs.VARY: "Accept, Accept-Encoding",
    }
    if is_known(request.headers, etag=etag, modified_at=None):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = content_type
    if coding is not Coding.IDENTITY:
        headers[hdrs.CONTENT_ENCODING] = coding
    return web.Response(body=await encode(body, coding), headers=headers)


def _tag_of(body: bytes, form: str, coding: Coding) -> str:
    """Return the strong tag of the body in this coding: other bytes, so another tag (RFC 9110 section 8.8.3.3)."""
    parts = (hashlib.sha256(body).hexdigest(), form, "" if coding is Coding.IDENTITY else coding)
    return strong_etag("-".join(filter(None, parts)))
