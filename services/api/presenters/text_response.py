"""Answers that a client may keep if it asks each time whether they still hold."""

import asyncio
import hashlib
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from services.api.conditions import is_known, strong_etag
from services.api.presenters.compression import Coding, choose_coding, encode


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """The bytes of a page, and what follows from nothing else.

    Args:
        sha256: of the body as it is.
        encoded: the body in the codings that somebody has asked for.
    """

    body: bytes
    sha256: str
    encoded: dict[Coding, bytes] = field(default_factory=dict)
    _under_way: dict[Coding, asyncio.Task[None]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, body: bytes) -> "RenderedPage":
        """Return the page that these bytes are."""
        return cls(body, hashlib.sha256(body).hexdigest())

    @property
    def largest_bytes(self) -> int:
        """Return how much it takes in all codings together: those that shorten it make a page half as long at least."""
        return 2 * len(self.body)

    async def in_coding(self, coding: Coding) -> bytes:
        """Return the body in this coding; those who want it at once have it encoded once."""
        if coding not in self.encoded:
            if coding not in self._under_way:
                self._under_way[coding] = asyncio.create_task(self._encode(coding), name="larder page coding")
            # Who goes away meanwhile takes it from nobody.
            await asyncio.shield(self._under_way[coding])
        return self.encoded[coding]

    async def _encode(self, coding: Coding) -> None:
        try:
            self.encoded[coding] = await encode(self.body, coding)
        finally:
            del self._under_way[coding]

    def etag(self, form: str, coding: Coding) -> str:
        """Return the strong tag in this form and coding: other bytes, so another tag (RFC 9110 section 8.8.3.3)."""
        return strong_etag("-".join(filter(None, (self.sha256, form, "" if coding is Coding.IDENTITY else coding))))


async def revalidated_response(
    request: web.Request, page: RenderedPage, *, content_type: str, is_public: bool, form: str = ""
) -> web.Response:
    """Return the page, or 304 when the client has this very one.

    pip and others keep pages as long as they are told; `no-cache` makes them ask, and the strong ETag makes that cheap.

    Args:
        is_public: everybody gets the very same answer.
        form: what tells this answer from another with the same bytes under another content type. A cache that is told
            304 would else hand out the one for the other.
    """
    coding = choose_coding(request.headers.getall(hdrs.ACCEPT_ENCODING, []), size_bytes=len(page.body))
    etag = page.etag(form, coding)
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
    return web.Response(body=await page.in_coding(coding), headers=headers)
