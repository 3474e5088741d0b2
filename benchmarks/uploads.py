"""How fast uploads are taken and published, beside a bare PUT to nginx and the disk's own syncs.

    .venv/bin/python -m benchmarks.uploads [rounds] [seconds] [MB of the large upload, 0 for none]

Starts a `larder serve` of its own on loopback and, where nginx with WebDAV is on PATH, an nginx; stops both again. Each
round measures everything one after another, so that all share a busy machine's hours fairly; medians are shown. Small
uploads are wheels of about 8 KiB, sent over keep-alive connections with a token; each 201 says that its file is on its
page, and at the end of each round the pages are asked whether that was so. What the disk can do is measured by threads
that write, sync and name as many bytes in as many files.
"""

import asyncio
import hashlib
import io
import os
import random
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.small_reads import running
from tests.distributions import build_wheel, wheel_file_name, wheel_files
from tests.e2e.processes import SOURCE, LarderProcess, running_larder
from tests.registry_client import open_client

_CLIENTS = (1, 8)
_FILLER_BYTES = 7 * 1024
_NAMES = 40
_MB = 1_000_000
_BOUNDARY = b"larder-benchmark-boundary"
_TICKS = os.sysconf("SC_CLK_TCK")
_NGINX = """
daemon off; error_log stderr crit; pid {root}/pid; worker_processes 1; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{port}; root {root}/files; location / {{ dav_methods PUT; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A server that takes uploads.

    Args:
        request: a number -> head and body of the upload with this number.
        success: the status that it must be answered with.
    """

    address: tuple[str, int]
    request: Callable[[int], tuple[bytes, bytes]]
    success: bytes


@dataclass(slots=True)
class Uploads:
    """What one run of small uploads came to."""

    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.milliseconds) / self.seconds


def small_wheel(number: int) -> tuple[str, str, bytes]:
    """Return name, version and bytes of a wheel of about 8 KiB; another one for each number."""
    name, version = f"small{number % _NAMES}", f"1.{number}"
    filler = random.Random(number).randbytes(_FILLER_BYTES)  # noqa: S311 - the same each time
    return name, version, build_wheel(name, version, extra_files={f"{name}.dat": filler})


def upload_of(larder: LarderProcess) -> Callable[[int], tuple[bytes, bytes]]:
    """Return what makes the upload requests of a registry."""

    def request(number: int) -> tuple[bytes, bytes]:
        name, version, wheel = small_wheel(number)
        before, after = form_around(name, version, wheel_file_name(name, version), hashlib.sha256(wheel).hexdigest())
        return upload_head(larder, len(before) + len(wheel) + len(after)), before + wheel + after

    return request


def upload_head(larder: LarderProcess, length: int) -> bytes:
    """Return the head of an upload request."""
    basic = b64encode(f"root:{larder.token}".encode()).decode()
    return (
        f"POST /api/v4/projects/{larder.project_id}/packages/pypi/ HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Basic {basic}\r\nContent-Length: {length}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY.decode()}\r\n\r\n"
    ).encode()


def form_around(name: str, version: str, file_name: str, sha256: str) -> tuple[bytes, bytes]:
    """Return what stands before and after the file in a form, with the fields that twine sends first."""
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "metadata_version": "2.1",
        "summary": "Made by a benchmark",
        "sha256_digest": sha256,
    }
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (_BOUNDARY, key.encode(), value.encode())
        for key, value in fields.items()
    ]
    file = (
        b'--%s\r\nContent-Disposition: form-data; name="content"; filename="%s"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" % (_BOUNDARY, file_name.encode())
    )
    return b"".join(parts) + file, b"\r\n--%s--\r\n" % _BOUNDARY


def put_head(path: str, length: int) -> bytes:
    """Return the head of a PUT request."""
    return b"PUT /%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path.encode(), length)


def put_of() -> Callable[[int], tuple[bytes, bytes]]:
    """Return what makes PUT requests of the same wheels."""

    def request(number: int) -> tuple[bytes, bytes]:
        name, version, wheel = small_wheel(number)
        return put_head(wheel_file_name(name, version), len(wheel)), wheel

    return request


async def send_small(target: Target, numbers: Iterator[int], *, clients: int, seconds: float, most: int) -> Uploads:
    """Upload for a while from so many clients at once, each one after the other."""
    requests = iter([target.request(next(numbers)) for _ in range(most)])
    found = Uploads()
    started_at = time.perf_counter()

    async def send() -> None:
        reader, writer = await asyncio.open_connection(*target.address)
        for head, body in requests:
            sent_at = time.perf_counter()
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 " + target.success):
                raise SystemExit(f"an upload was answered {answer!r}")
            await reader.readexactly(_content_length(answer))
            now = time.perf_counter()
            found.milliseconds.append((now - sent_at) * 1000)
            if now - started_at > seconds:
                break
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(send())
    found.seconds = time.perf_counter() - started_at
    return found


def _content_length(answer: bytes) -> int:
    for line in answer.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


async def check_pages(larder: LarderProcess, uploads: int) -> None:
    """Fail unless the pages show as many files as were answered 201."""
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        shown = 0
        for name in await client.names():
            page = await client.page(name) if name.startswith("small") else None
            shown += len(page["files"]) if page else 0
    if shown != uploads:
        raise SystemExit(f"{uploads} uploads were published, and the pages show {shown}")


def sync_rate(directory: Path, *, threads: int, seconds: float) -> float:
    """Return how many files a second can be written, synced and named, directory included."""
    numbers, lock, stop_at = count(), threading.Lock(), time.perf_counter() + seconds
    body = random.Random(0).randbytes(_FILLER_BYTES)  # noqa: S311 - any bytes will do
    directory_fd = os.open(directory, os.O_RDONLY)
    written = 0

    def write() -> None:
        nonlocal written
        while time.perf_counter() < stop_at:
            with lock:
                number = next(numbers)
            descriptor = os.open(str(number), os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=directory_fd)
            os.write(descriptor, body)
            os.fsync(descriptor)
            os.close(descriptor)
            os.fsync(directory_fd)
            with lock:
                written += 1

    workers = [threading.Thread(target=write) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    os.close(directory_fd)
    return written / seconds


def send_large(address: tuple[str, int], pieces: list[bytes]) -> tuple[float, bytes]:
    """Send the pieces of one request, and return the seconds from the first byte to the answer, and the answer."""
    with socket.create_connection(address, timeout=120) as connection:
        started_at = time.perf_counter()
        for piece in pieces:
            connection.sendall(piece)
        answer = connection.recv(4096)
        return time.perf_counter() - started_at, answer


@dataclass(frozen=True, slots=True)
class Memory:
    """How much more memory processes held at their most than before."""

    pids: tuple[int, ...]
    before: tuple[int, ...]

    @classmethod
    def of(cls, pids: list[int]) -> "Memory":
        """Begin to look."""
        for pid in pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
        return cls(tuple(pids), tuple(_status_kib(pid, "VmRSS") for pid in pids))

    def rise_mib(self) -> float:
        """Return the largest rise of any of them."""
        pairs = zip(self.pids, self.before, strict=True)
        return max(_status_kib(pid, "VmHWM") - before for pid, before in pairs) / 1024


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise SystemExit(f"/proc/{pid}/status tells no {name}")


def cpu_seconds(pid: int) -> float:
    """Return what a process has used, with its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


@dataclass(slots=True)
class Results:
    """All figures by their name."""

    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, figure: float) -> None:
        self.figures.setdefault(name, []).append(figure)


def measure_small(larder: LarderProcess, nginx: Target | None, directory: Path, results: Results, run: "Run") -> None:
    """One round of small uploads."""
    ours = Target(_address(larder.url), upload_of(larder), b"201")
    for clients in _CLIENTS:
        processes = {one.pid: one.title for one in larder.members()}
        before = {pid: cpu_seconds(pid) for pid in processes}
        found = asyncio.run(send_small(ours, run.ours, clients=clients, seconds=run.seconds, most=run.most))
        run.published += len(found.milliseconds)
        results.note(f"larder, {clients} clients, uploads/s", found.rate)
        results.note(f"larder, {clients} clients, median ms", statistics.median(found.milliseconds))
        results.note(f"larder, {clients} clients, 99% ms", statistics.quantiles(found.milliseconds, n=100)[-1])
        for pid, title in processes.items():
            used = (cpu_seconds(pid) - before[pid]) / len(found.milliseconds) * 1000
            name = " ".join(title.split()[:2]) if title.startswith("larder") else title.split()[0].rsplit("/")[-1]
            if used >= 0.05:
                results.note(f"  CPU ms an upload, {clients} clients, {name}", used)
        if nginx is not None:
            put = asyncio.run(send_small(nginx, run.puts, clients=clients, seconds=run.seconds, most=4 * run.most))
            results.note(f"nginx PUT, {clients} clients, uploads/s", put.rate)
        place = Path(tempfile.mkdtemp(dir=directory))
        results.note(
            f"write, sync, name, {clients} threads, files/s", sync_rate(place, threads=clients, seconds=run.seconds / 2)
        )
        shutil.rmtree(place)
    asyncio.run(check_pages(larder, run.published))


def measure_large(larder: LarderProcess, nginx: Target | None, directory: Path, results: Results, run: "Run") -> None:
    """One round of a large upload; each time another file, because equal bytes under a name are told at once."""
    version = next(run.large_versions)
    # Another version needs another METADATA, so what is sent is made anew.
    file_name, content = wheel_file_name("large", version), large_wheel(run.filler, version)
    before, after = form_around("large", version, file_name, hashlib.sha256(content).hexdigest())
    head = upload_head(larder, len(before) + len(content) + len(after))
    api, worker = Memory.of(larder.pids("larder api")), Memory.of(larder.pids("larder worker"))
    pieces = [head + before, content, after]
    seconds, answer = send_large(_address(larder.url), pieces)
    if not answer.startswith(b"HTTP/1.1 201"):
        raise SystemExit(f"the large upload was answered {answer!r}")
    results.note("large upload, s", seconds)
    results.note("large upload, API's RSS rise, MiB", api.rise_mib())
    results.note("large upload, worker's RSS rise, MiB", worker.rise_mib())
    if nginx is not None:
        put_seconds, answer = send_large(nginx.address, [put_head(file_name, len(content)), content])
        if not answer.startswith(b"HTTP/1.1 201"):
            raise SystemExit(f"nginx answered {answer!r}")
        results.note("large PUT to nginx, s", put_seconds)
        results.note("large upload, of nginx's PUT", seconds / put_seconds)
    started_at = time.perf_counter()
    with (directory / "raw").open("wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())
    raw_seconds = time.perf_counter() - started_at
    results.note("large write and sync, s", raw_seconds)
    results.note("large upload, of write and sync", seconds / raw_seconds)
    (directory / "raw").unlink()


def large_wheel(filler: bytes, version: str) -> bytes:
    """Return a wheel of this version that holds the filler."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, content in wheel_files("large", version, extra_files={"large.dat": filler}).items():
            archive.writestr(path, content)
    return buffer.getvalue()


@dataclass(slots=True)
class Run:
    """How much is to be done, and what was."""

    seconds: float
    most: int
    filler: bytes
    ours: Iterator[int] = field(default_factory=count)
    puts: Iterator[int] = field(default_factory=count)
    large_versions: Iterator[str] = field(default_factory=lambda: (f"1.{number}" for number in count()))
    published: int = 0


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def main() -> None:
    """Measure, and print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 4.0
    large_mb = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    filler = random.Random(large_mb).randbytes(large_mb * _MB)  # noqa: S311 - the same each time
    results, run = Results(), Run(seconds, int(1000 * seconds), filler)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        limits = {"API_PROCESSES": os.environ.get("API_PROCESSES", "2")}
        larder = stack.enter_context(running_larder(directory / "var", limits, cwd=SOURCE))
        nginx = _start_nginx(stack, directory, _address(larder.url)[1] % 20_000 + 30_000)
        for number in range(rounds):
            measure_small(larder, nginx, directory, results, run)
            if large_mb:
                measure_large(larder, nginx, directory, results, run)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)  # noqa: T201 - this is its output
    width = max(map(len, results.figures))
    for name, figures in results.figures.items():
        print(f"{name:<{width}}  {statistics.median(figures):10,.2f}")  # noqa: T201 - this is its output


def _start_nginx(stack: ExitStack, directory: Path, port: int) -> Target | None:
    if shutil.which("nginx") is None:
        return None
    root = directory / "nginx"
    (root / "files").mkdir(parents=True)
    configuration = root / "nginx.conf"
    configuration.write_text(_NGINX.format(root=root, port=port), encoding="ascii")
    stack.enter_context(running(["nginx", "-c", str(configuration), "-p", str(root)], port))
    return Target(("127.0.0.1", port), put_of(), b"201")


if __name__ == "__main__":
    main()
