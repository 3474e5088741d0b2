"""Answers that send a client somewhere else."""

from aiohttp import HttpVersion11, hdrs, web


def moved_upstream(request: web.Request, url: str) -> web.Response:
    """Send the client to another index, whatever format it asked for: 302, or 303 for a HEAD over HTTP/1.1.

    Nothing of the request goes with it: not its query, which can hold a token. Nobody may keep the answer, because the
    name may be published here at any moment.

    Source: Grape's `redirect`, which words it so; contract, PyPI 8.2.
    """
    if request.method != hdrs.METH_GET and request.version >= HttpVersion11:
        status, text = 303, f"An alternate resource is located at {url}."
    else:
        status, text = 302, f"This resource has been moved temporarily to {url}."
    return web.Response(status=status, text=text, headers={hdrs.LOCATION: url, hdrs.CACHE_CONTROL: "private, no-cache"})


def lent_by_store(url: str) -> web.Response:
    """Send the client to the blob store with a URL that holds for a moment and for everybody: nobody may keep it."""
    return web.Response(status=302, headers={hdrs.LOCATION: url, hdrs.CACHE_CONTROL: "private, no-store"})
