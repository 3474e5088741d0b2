"""Under which URL clients reach this registry."""

import ipaddress
import re

from aiohttp import hdrs, web

from services.api.keys import SETTINGS
from shared.errors import InvalidParameters

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SCHEMES = ("http", "https")


def external_url(request: web.Request) -> str:
    """Return the URL that all links begin with, without a slash at its end.

    The configured one if there is one. Else it is made from the request's Host, or from what a trusted proxy says in
    X-Forwarded-Host and X-Forwarded-Proto; a page with such links holds for this Host only.

    Raises:
        InvalidParameters: the Host is none that could stand in a URL.
    """
    settings = request.app[SETTINGS]
    if settings.external_url is not None:
        return settings.external_url
    host, scheme = request.host, request.scheme
    if _is_trusted(request):
        # The last value is the one that the trusted proxy itself has added.
        host = _last(request, hdrs.X_FORWARDED_HOST) or host
        scheme = _last(request, hdrs.X_FORWARDED_PROTO).lower() or scheme
    if not _HOST.fullmatch(host) or scheme not in _SCHEMES:
        raise InvalidParameters("Host is invalid")
    return f"{scheme}://{host}"


def _is_trusted(request: web.Request) -> bool:
    networks = request.app[SETTINGS].trusted_proxies
    if not networks or request.remote is None:
        return False
    try:
        peer = ipaddress.ip_address(request.remote)
    except ValueError:
        return False
    return any(peer in network for network in networks)


def _last(request: web.Request, name: str) -> str:
    values = request.headers.getall(name, [])
    return values[-1].rpartition(",")[2].strip() if values else ""
