"""TCP ports that a test names itself, because it has to know them before, or after, somebody listens on them."""

import os
import socket
from contextlib import suppress
from itertools import count

_PORTS = range(20000, 30000)
"""Below those that the kernel gives away by itself, so that a port stays free until its server is there, or again."""

_given = count()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens, and which no other test of this run is given."""
    for _ in _PORTS:
        port = _PORTS[(os.getpid() * 7 + next(_given)) % len(_PORTS)]
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
