"""The open connections of this process: how many there may be, and which of them makes room for another.

A connection that waits for its next request may be closed at any time, and clients know how to open another (RFC 9112
section 9.5). So the one that has waited longest makes room for a new one, and idle connections never keep anybody out.
Only when all of them are at work is the new one refused: with a 503, which pip, uv, poetry and twine try again. Leaving
it in the kernel's queue instead would let it wait in silence until the client's own patience ends.
"""

import asyncio
import ipaddress
import resource
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Protocol

import structlog

from services.api.lifecycle import Lifecycle
from services.api.ready_answers import ReadyAnswers
from shared.limits import Limits
from shared.settings import IpNetwork

log = structlog.get_logger()

MOST_REFUSALS = 256
"""How many clients are told 503 at the same time; the connections of any more are ended without a word."""
_OTHER_DESCRIPTORS = 256
_DESCRIPTORS_EACH = 2  # its socket, and the file that is sent or received through it
_SITE_PREFIX_BITS = 64


class OpenConnection(Protocol):
    """One client's connection, as far as it matters here."""

    @property
    def idle_since(self) -> float | None:
        """Return since when, by the loop's clock, it waits for a request; None while one is under way."""
        ...

    def force_close(self) -> None:
        """End it at once; what was answered is still sent."""
        ...


@dataclass(slots=True)
class Connections:
    """Counts connections, all of them and by client address.

    Args:
        lifecycle: counts the answers that are being sent.
        trusted_proxies: peers that speak for many clients, and are not counted by themselves.
        most: how many there may be; fewer than the settings say where the machine gives this process too few
            descriptors.
        ready_answers: what may be answered without a request; None where nothing is.
    """

    limits: Limits
    lifecycle: Lifecycle
    trusted_proxies: Sequence[IpNetwork]
    most: int
    ready_answers: ReadyAnswers | None = None
    refusals: int = 0
    _sites: dict[OpenConnection, str | None] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _none_is_left: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self, connection: OpenConnection, peer: str | None) -> bool:
        """Count the connection; False when there is no room for it, and none could be made.

        Args:
            peer: the IP address at its other end; None where it has none.
        """
        site = self._site(peer)
        most_of_site = self.limits.max_connections_per_address or max(self.most // 2, 1)
        if site is not None and self._counts[site] >= most_of_site and not self._make_room(site):
            return False
        if len(self._sites) >= self.most and not self._make_room(None):
            return False
        self._sites[connection] = site
        self._none_is_left.clear()
        if site is not None:
            self._counts[site] += 1
        return True

    def forget(self, connection: OpenConnection) -> None:
        """Count the connection no more, if it still was."""
        site = self._sites.pop(connection, None)
        if site is not None:
            self._counts[site] -= 1
            if not self._counts[site]:
                del self._counts[site]
        if not self._sites:
            self._none_is_left.set()

    def note_refusal(self) -> Callable[[], None]:
        """Count a client that is being refused until what is returned is called."""
        self.refusals += 1

        def end() -> None:
            self.refusals -= 1

        return end

    async def end(self) -> None:
        """Close all connections, which have no request under way, and return when what was answered is sent."""
        for connection in list(self._sites):
            connection.force_close()
        if self._sites:
            await self._none_is_left.wait()

    def _make_room(self, site: str | None) -> bool:
        """Close the connection of this client, or of any, that has waited longest for a request; False if none has."""
        idle = [
            (since, connection)
            for connection, its_site in self._sites.items()
            if site in (None, its_site) and (since := connection.idle_since) is not None
        ]
        if not idle:
            return False
        _, longest = min(idle, key=itemgetter(0))
        self.forget(longest)
        longest.force_close()
        return True

    def _site(self, peer: str | None) -> str | None:
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        if any(address in network for network in self.trusted_proxies):
            return None
        if isinstance(address, ipaddress.IPv4Address):
            return str(address)
        return str(ipaddress.IPv6Network((int(address), _SITE_PREFIX_BITS), strict=False))


def provide_descriptors(max_connections: int) -> int:
    """Let this process open as many files as that many connections need; return how many connections it can have."""
    needed = _DESCRIPTORS_EACH * max_connections + MOST_REFUSALS + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return max_connections
    most = max((soft - MOST_REFUSALS - _OTHER_DESCRIPTORS) // _DESCRIPTORS_EACH, 1)
    log.warning("api.few_descriptors", needed=needed, allowed=soft, connections=most)
    return most
