"""How many small reads a second one API process answers: as shipped, without what it remembers, and what bounds it.

    .venv/bin/python -m benchmarks.small_reads [rounds] [whole seconds]

A private project, Basic authentication with a token, keep-alive connections, the access log as shipped. `wrk` asks; it
has to be on PATH. Each round asks all servers one after another, so that they share a busy machine's hours fairly; the
medians are shown as requests a second and as parts of the base: nginx with the same bytes as files where it is on PATH,
and an aiohttp handler that returns ready bytes, without log, authentication or routes. A 304 is compared with an empty
file.
"""

import asyncio
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import SOURCE, running_larder
from tests.registry_client import SIMPLE_JSON, open_client
from tests.waiting import wait_for

_CONNECTIONS = 32
_VERSIONS = 4
_FILLER_BYTES = 7 * 1024
"""Makes the wheel one of about 8 KiB."""
_TOLD = re.compile(r"^\s*([0-9]+) requests in.*^Requests/sec:\s*([0-9.]+)", re.MULTILINE | re.DOTALL)
_TICKS = os.sysconf("SC_CLK_TCK")
_SHIPPED = "as shipped"
_SETTINGS = {
    "without memory": {"CACHE_BYTES": "0"},
    "without ready answers": {"READY_ANSWERS": "off"},
    _SHIPPED: {},
}
_READY_BYTES = """
import sys
from aiohttp import web
body = open(sys.argv[2], "rb").read()
async def answer(request): return web.Response(body=body)
app = web.Application()
app.router.add_get("/{rest:.*}", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""
_NGINX = """
master_process off; daemon off; error_log stderr crit; pid {root}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; default_type application/octet-stream; keepalive_requests 1000000000; open_file_cache max=100;
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi; server {{ listen 127.0.0.1:{port}; root {root}/files; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Read:
    """One kind of request, with what it must be answered."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(slots=True)
class Server:
    """What is measured, by the kind of the request.

    Args:
        pid: the one process that answers this kind.
        microseconds: of the process's time, for one request; a busy machine changes them less than the rates.
    """

    reads: dict[str, Read]
    pid: dict[str, int]
    rates: dict[str, list[float]] = field(default_factory=dict)
    microseconds: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, kind: str, seconds: int) -> None:
        """Warm up, and note how many requests of this kind are answered."""
        ask(self.reads[kind], 1)
        before = _cpu_seconds(self.pid[kind])
        requests, rate = ask(self.reads[kind], seconds)
        took = _cpu_seconds(self.pid[kind]) - before
        self.rates.setdefault(kind, []).append(rate)
        self.microseconds.setdefault(kind, []).append(took / max(1, requests) * 1e6)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def ask(read: Read, seconds: int) -> tuple[int, float]:
    """Return how many requests were answered, and how many a second."""
    headers = [part for name, value in read.headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", *headers, read.url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own
    if "Non-2xx" in told:
        raise SystemExit(f"{read.url} was refused:\n{told}")
    found = _TOLD.search(told)
    assert found, told
    return int(found[1]), float(found[2])


async def prepare(url: str, token: str, project_id: int) -> dict[str, Read]:
    """Upload the corpus, and return what is asked for."""
    async with open_client(url, token, project_id) as client:
        for number in range(_VERSIONS):
            version = f"1.{number}"
            filler = random.Random(version).randbytes(_FILLER_BYTES)  # noqa: S311 - the same each time
            wheel = build_wheel("quick", version, extra_files={"quick.dat": filler})
            answer = await client.upload(
                wheel, file_name=wheel_file_name("quick", version), name="quick", version=version
            )
            assert answer.status == 201, answer
        page = await client.page("quick")
        assert page is not None
        file = page["files"][0]["url"].partition("#")[0]
        simple = f"{url}/api/v4/projects/{project_id}/packages/pypi/simple/quick/"
        async with client.session.get(simple) as response:
            etag = response.headers["ETag"]
    basic = {"Authorization": aiohttp.encode_basic_auth("root", token)}
    return {
        "page, HTML": Read(simple, basic),
        "page, JSON": Read(simple, basic | {"Accept": SIMPLE_JSON}),
        "page, 304": Read(simple, basic | {"If-None-Match": etag}, status=304),
        ".metadata": Read(f"{file}.metadata", basic),
        "8 KB wheel": Read(file, basic),
    }


async def fetch(reads: dict[str, Read]) -> dict[str, bytes]:
    """Return the bytes of each answer, once it is what it must be."""
    found = {}
    async with aiohttp.ClientSession() as session:
        for kind, read in reads.items():
            async with session.get(read.url, headers=read.headers) as response:
                assert response.status == read.status, (kind, response.status)
                found[kind] = await response.read()
    return found


@contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """Run a server until the block ends; yield its process id."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own
        try:
            wait_for(lambda: _listens(port), what=f"{command[0]} listens", timeout_seconds=20)
            yield process.pid
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines[1:])


def start_bases(stack: ExitStack, directory: Path, bodies: dict[str, bytes], port: int) -> dict[str, Server]:
    """Start what the registry is compared with, on this port and the next ones."""
    files = directory / "files"
    files.mkdir()
    directory.chmod(0o755)
    paths = {kind: f"/{number}" for number, kind in enumerate(bodies)}
    for kind, body in bodies.items():
        files.joinpath(paths[kind][1:]).write_bytes(body)
    servers = {}
    if shutil.which("nginx"):
        configuration = directory / "nginx.conf"
        configuration.write_text(_NGINX.format(root=directory, port=port), encoding="ascii")
        pid = stack.enter_context(running(["nginx", "-c", str(configuration), "-p", str(directory)], port))
        base = f"http://127.0.0.1:{port}"
        reads = {kind: Read(base + path) for kind, path in paths.items()}
        servers["nginx"] = Server(reads, dict.fromkeys(paths, pid))
    ready = Server({}, {})
    for number, (kind, path) in enumerate(paths.items(), start=1):
        command = [sys.executable, "-c", _READY_BYTES, str(port + number), str(files / path[1:])]
        ready.pid[kind] = stack.enter_context(running(command, port + number))
        ready.reads[kind] = Read(f"http://127.0.0.1:{port + number}/")
    return servers | {"ready bytes": ready}


def main() -> None:
    """Measure, and print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not on PATH (Debian has it as the package wrk)")
    with ExitStack() as stack:
        servers = {}
        for name, chosen in _SETTINGS.items():
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            settings = {"API_PROCESSES": "1", **chosen}
            larder = stack.enter_context(running_larder(directory / "var", settings, cwd=SOURCE))
            reads = asyncio.run(prepare(larder.url, larder.token, larder.project_id))
            servers[name] = Server(reads, dict.fromkeys(reads, larder.pids("larder api")[0]))
        bodies = asyncio.run(fetch(servers[_SHIPPED].reads))
        port = (urlsplit(larder.url).port or 0) % 20_000 + 30_000
        servers |= start_bases(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())), bodies, port)
        for _ in range(rounds):
            for kind in bodies:
                for server in servers.values():
                    server.measure(kind, seconds)
    _print_table(servers, list(bodies))


def _print_table(servers: dict[str, Server], kinds: list[str]) -> None:
    lines = []
    for title, measured, is_rate in (("requests/s", "rates", True), ("CPU us a request", "microseconds", False)):
        lines += ["", f"| {title} | " + " | ".join(kinds) + " |", "|---|" + "---:|" * len(kinds)]
        medians = {
            name: [statistics.median(getattr(server, measured)[kind]) for kind in kinds]
            for name, server in servers.items()
        }
        lines += [f"| {name} | " + " | ".join(f"{one:,.0f}" for one in found) + " |" for name, found in medians.items()]
        for name in (name for name in medians if name != _SHIPPED):
            pairs = zip(medians[_SHIPPED], medians[name], strict=True)
            parts = (f"{(one / other if is_rate else other / one):.2f}" for one, other in pairs)
            lines.append(f"| {_SHIPPED}, of {name} | " + " | ".join(parts) + " |")
    print("\n".join(lines))  # noqa: T201 - this is its output


if __name__ == "__main__":
    main()
