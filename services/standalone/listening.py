"""The listening socket: owned by the supervisor, handed down to the API processes."""

import errno
import ipaddress
import socket
from dataclasses import dataclass

from services.standalone.errors import StartFailed

_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where the registry can be reached on this machine."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return host and port as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on this host and port; port 0 takes a free one.

    Connections are queued from now on, also while an API process is being restarted.

    Raises:
        StartFailed: nothing can listen there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise StartFailed(f"{host} is no address to listen on: change LARDER_HOST") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartFailed(_problem(host, port, error)) from error
    return listener


def reachable_address(listener: socket.socket) -> Address:
    """Return how a client on this machine reaches a listening socket."""
    host, port = listener.getsockname()[:2]
    if not ipaddress.ip_address(host).is_unspecified:
        return Address(host, port)
    return Address("::1" if listener.family == socket.AF_INET6 else "127.0.0.1", port)


def _problem(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program: stop it, or choose another port in LARDER_PORT"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges that this user does not have: choose one above 1023 in LARDER_PORT"
    return f"cannot listen on {host}, port {port}: {error.strerror}; change LARDER_HOST or LARDER_PORT"
