"""Where a request comes from, and under which URL it reached this registry: what proxies say, if they are trusted."""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache

from aiohttp import hdrs, web

from services.api.keys import SETTINGS
from shared.errors import InvalidParameters
from shared.ports.failed_attempts import IpAddress
from shared.settings import IpNetwork

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_WITH_PORT = re.compile(r"(?P<v4>[0-9.]+):[0-9]{1,5}|\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
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


def client_address(request: web.Request) -> IpAddress | None:
    """Return where the request comes from: its peer, or whom trusted proxies say that they speak for."""
    trusted = request.app[SETTINGS].trusted_proxies
    forwarded = request.headers.getall(hdrs.X_FORWARDED_FOR, []) if trusted else []
    return trace_back(request.remote or "", forwarded, trusted=trusted)


def direct_client(peer: str, trusted: Sequence[IpNetwork]) -> IpAddress | None:
    """Return the client at the other end of a connection; None when it is a proxy that speaks for others, or no IP.

    Args:
        peer: as the socket names it.
    """
    address = _parse(peer)
    return None if address is None or _is_among(address, trusted) else address


def trace_back(peer: str, forwarded: Sequence[str], *, trusted: Sequence[IpNetwork]) -> IpAddress | None:
    """Follow X-Forwarded-For from its right end, through the trusted proxies, to the first address that is none.

    Each proxy adds at the right whom it speaks for. What stands left of an address that is not trusted may be made up,
    and so may what stands left of something that is no address at all: there the walk ends.

    Args:
        peer: as the socket names it.
        forwarded: the header's values, in the order in which they came.

    Returns:
        None when the peer has no IP address.
    """
    address = _parse(peer)
    said = [entry for value in forwarded for entry in value.split(",")]
    while said and address is not None and _is_among(address, trusted):
        before = _parse(said.pop())
        if before is None:
            break
        address = before
    return address


def _is_trusted(request: web.Request) -> bool:
    trusted = request.app[SETTINGS].trusted_proxies
    peer = _parse(request.remote or "") if trusted else None
    return peer is not None and _is_among(peer, trusted)


def _is_among(address: IpAddress, networks: Sequence[IpNetwork]) -> bool:
    return any(address in network for network in networks)


@lru_cache(1024)  # Most requests of a client come one after another, and none of this ever changes.
def _parse(text: str) -> IpAddress | None:
    """Return the address, without the port that some proxies write behind it; None for anything else."""
    bare = _WITH_PORT.fullmatch(text.strip())
    try:
        address = ipaddress.ip_address(bare["v4"] or bare["v6"] if bare else text.strip())
    except ValueError:
        return None
    # A socket that takes both families shows peers of IPv4 as ::ffff:192.0.2.1.
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _last(request: web.Request, name: str) -> str:
    values = request.headers.getall(name, [])
    return values[-1].rpartition(",")[2].strip() if values else ""
