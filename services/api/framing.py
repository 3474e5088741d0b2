"""Refuse requests whose end proxies and servers may see in different places, where the parser lets them pass.

What contradicts itself on the wire (two lengths, a length beside chunks, bare line feeds) the parser refuses.

Source: RFC 9112 sections 2.3, 6.1 and 11.2 (request smuggling).
"""

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion10, HttpVersion11

from services.api.problems import FramingUnclear

_CHUNKED = "chunked"


def check_framing(request: web.Request) -> None:
    """Let pass HTTP/1.0 and 1.1, and no transfer coding but chunks, which HTTP/1.0 does not have.

    Raises:
        FramingUnclear: it is something else.
    """
    if request.version not in (HttpVersion10, HttpVersion11):
        raise FramingUnclear(505)
    codings = request.headers.getall(hdrs.TRANSFER_ENCODING, None)
    if codings is None:
        return
    if request.version == HttpVersion10 or len(codings) != 1 or not codings[0].strip():
        raise FramingUnclear(400)
    if codings[0].strip().lower() != _CHUNKED:
        raise FramingUnclear(501)


def is_last(request: web.Request) -> bool:
    """Say whether its client wants to speak something else from here on than HTTP/1.

    Nobody here does, and the parser forgets what came along with such a request: its connection ends with the answer.
    """
    return hdrs.UPGRADE in request.headers or request.method == hdrs.METH_CONNECT
