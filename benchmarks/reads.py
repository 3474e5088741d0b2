"""What installers ask a server for, and how much of it `wrk` gets."""

import http.client
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from benchmarks.corpus import BIG, LARGE, SMALL
from benchmarks.figures import Figure, Figures
from benchmarks.processes import cpu_seconds
from benchmarks.servers.server import Server
from benchmarks.wrk import Load, Read, ask
from tests.registry_client import SIMPLE_JSON

CONNECTIONS, LARGE_CONNECTIONS = 32, 8
_HREF = re.compile(rb"""<a\s[^>]*href=["']([^"'#]+)""")
_PATIENCE_SECONDS = 60.0
_WARM_UP_SECONDS = 1.0
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer to one request; without the body when that was not asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def look(read: Read, *, method: str = "GET", with_body: bool = True) -> Seen:
    """Ask once, and follow no redirect."""
    parts = urlsplit(read.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE_SECONDS)
    try:
        connection.request(method, parts.path, headers=dict(read.headers))
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Seen(answer.status, headers, answer.read() if with_body else b"")
    finally:
        connection.close()


def fetch(read: Read) -> bytes:
    """Return the body of an answer that has to be good."""
    seen = look(read)
    if seen.status != read.status:
        raise SystemExit(f"{read.url} was answered {seen.status}: {seen.body[:500]!r}")
    return seen.body


def links(page_url: str, html: bytes) -> list[str]:
    """Return the URLs of a page's files, in its order."""
    return [urljoin(page_url, href.decode()) for href in _HREF.findall(html)]


def find_reads(server: Server, kinds: Collection[str]) -> dict[str, Read]:
    """Return what the server can be asked for, by the name of the row; what it does not offer is not there."""
    small = Read(f"{server.index}{SMALL}/{server.html}", server.headers)
    html = look(small)
    wheel = Read(links(small.url, html.body)[0], server.headers)
    found = {
        "html": small,
        "json": Read(f"{server.index}{SMALL}/{server.json}", {**server.headers, "Accept": SIMPLE_JSON}),
        "big": Read(f"{server.index}{BIG}/{server.html}", server.headers),
        "same": Read(small.url, {**server.headers, "If-None-Match": html.headers.get("etag", "-")}, status=304),
        "metadata": Read(f"{wheel.url}.metadata", server.headers),
        "wheel": wheel,
    }
    if "large" in kinds:
        page = Read(f"{server.index}{LARGE}/{server.html}", server.headers)
        found["large"] = Read(links(page.url, fetch(page))[0], server.headers)
    return {kind: read for kind, read in found.items() if kind in kinds and _is_offered(kind, read)}


def _is_offered(kind: str, read: Read) -> bool:
    seen = look(read, with_body=kind != "large")
    if kind == "json" and not seen.body.startswith(b"{"):
        return False
    return seen.status == read.status and (kind != "metadata" or seen.body.startswith(b"Metadata-Version"))


def measure(server: Server, kind: str, read: Read, *, seconds: float) -> Figures:
    """Ask for it over and over."""
    connections = LARGE_CONNECTIONS if kind == "large" else CONNECTIONS
    ask(read, connections=connections, seconds=_WARM_UP_SECONDS)
    pids = server.pids()
    before = cpu_seconds(pids)
    load = ask(read, connections=connections, seconds=seconds)
    return figures(kind, load, cpu=cpu_seconds(pids) - before, memory=server.largest_bytes())


def figures(kind: str, load: Load, *, cpu: float, memory: int) -> Figures:
    """Return what a load says of its row, and of the rows that stand on it.

    Args:
        cpu: seconds that the server used for it.
        memory: bytes of its largest process afterwards.
    """
    share = load.generator_seconds / load.seconds
    gigabytes = load.read_bytes / _GB
    if kind == "large":
        rate = Figure(load.read_bytes / load.seconds / 1e6, memory=memory, generator_cores=share)
        return {"large": rate, "large-cpu": Figure(cpu / gigabytes)}
    cpu_each = cpu / max(1, load.requests)
    told = {kind: Figure(load.rate, cpu_each=cpu_each, memory=memory, generator_cores=share)}
    return told | {"p99": Figure(load.p99 * 1000)} if kind == "html" else told
