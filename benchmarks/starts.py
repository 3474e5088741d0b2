"""How long a server takes to its first answer, and what it holds then."""

from benchmarks.corpus import SMALL
from benchmarks.figures import Figure, Figures
from benchmarks.servers.server import Server

_MIB = 1024 * 1024


def measure_start(server: Server) -> Figures:
    """Stop it and start it again."""
    server.stop()
    took = server.start(f"{server.index}{SMALL}/")
    return {"start": Figure(took), "idle-memory": Figure(server.largest_bytes(("larder api",)) / _MIB)}
