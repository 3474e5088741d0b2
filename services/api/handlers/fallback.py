"""What is answered where the URL table has nothing."""

from aiohttp import hdrs, web

from services.api.problems import ApiVersionGone, MethodNotAllowed, UnknownRoute


async def nothing_here(request: web.Request) -> web.StreamResponse:
    """Say that there is nothing, or not for this method.

    Raises:
        MethodNotAllowed: the URL is there for other methods.
        ApiVersionGone: it is one of API version 3.
        UnknownRoute: it is none.

    Source: lib/api/api.rb.
    """
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        allowed |= methods - {hdrs.METH_ANY}
    if allowed:
        raise MethodNotAllowed(tuple(sorted(allowed)))
    if f"{request.path}/".startswith("/api/v3/"):
        raise ApiVersionGone
    raise UnknownRoute
