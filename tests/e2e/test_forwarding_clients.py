"""Installers and forwarding: one command, one index, packages from here and from an upstream on this machine."""

import asyncio
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.distributions import build_wheel, core_metadata, wheel_file_name
from tests.e2e.processes import LarderProcess, running_larder
from tests.e2e.shell import run_in_shell
from tests.registry_client import open_client

_NEEDS_THEIRS = core_metadata("ours", "1.0").replace(b"\nSummary", b"\nRequires-Dist: theirs\nSummary")
OURS = build_wheel("ours", "1.0", metadata=_NEEDS_THEIRS)
GONE = build_wheel("gone", "1.0")


@dataclass(slots=True)
class Upstream:
    """An index of somebody else, which notes what it is asked.

    Args:
        wheels: file name -> bytes; each is the only file of its name.
        asked: path and headers of each request, in the order in which they came.
    """

    wheels: dict[str, bytes]
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Return the type and body of what is there."""
        *_, kind, name = path.strip("/").split("/")
        if kind == "files" and name in self.wheels:
            return "application/octet-stream", self.wheels[name]
        links = [f'<a href="/files/{file}">{file}</a>' for file in self.wheels if file.startswith(f"{name}-")]
        return ("text/html", f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()) if links else None


@contextmanager
def running(upstream: Upstream) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            upstream.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            content_type, body = upstream.answer(self.path) or ("text/plain", b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        upstream.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Give an upstream that has `theirs`, and of what is or was ours what an attacker would put there."""
    names = {"theirs": "2.0", "ours": "99.0", "gone": "99.0"}
    wheels = {wheel_file_name(name, version): build_wheel(name, version) for name, version in names.items()}
    made = Upstream(wheels)
    with running(made):
        yield made


@pytest.fixture(scope="module")
def larder(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    """Give a registry that forwards, has `ours`, and once had `gone`."""
    settings = {"FORWARD_URL": f"{upstream.url}/simple/", "API_PROCESSES": "1"}
    with running_larder(tmp_path_factory.mktemp("forwarding") / "var", settings) as process:
        call(process, "PUT", "/application/settings", {"pypi_package_requests_forwarding": True})
        asyncio.run(_publish_and_delete(process))
        yield process


async def _publish_and_delete(larder: LarderProcess) -> None:
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        for name, wheel in (("ours", OURS), ("gone", GONE)):
            await client.publish(wheel, file_name=wheel_file_name(name, "1.0"), name=name, version="1.0")
    packages = f"/projects/{larder.project_id}/packages"
    [package] = call(larder, "GET", f"{packages}?package_name=gone")
    call(larder, "DELETE", f"{packages}/{package['id']}")


def call(larder: LarderProcess, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{larder.url}/api/v4{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"PRIVATE-TOKEN": larder.token, "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read() or b"null")


def install(larder: LarderProcess, tool: str, target: Path, name: str) -> subprocess.CompletedProcess[str]:
    scheme, _, rest = larder.url.partition("://")
    index = f"{scheme}://root:{larder.token}@{rest}/api/v4/projects/{larder.project_id}/packages/pypi/simple/"
    command = {
        "pip": "pip install --no-cache-dir",
        "uv": f"uv pip install --no-cache --python '{sys.executable}'",
    }[tool]
    return run_in_shell(f"{command} --index-url '{index}' --target '{target}' {name}", cwd=target.parent)


def versions(target: Path) -> dict[str, str]:
    found = (path.name.removesuffix(".dist-info").partition("-") for path in target.glob("*.dist-info"))
    return {name: version for name, _, version in found}


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_one_index_gives_what_is_ours_and_what_it_needs_from_upstream(
    larder: LarderProcess, upstream: Upstream, tool: str, tmp_path: Path
) -> None:
    upstream.asked.clear()

    done = install(larder, tool, tmp_path / "target", "ours")

    assert done.returncode == 0, done.stdout + done.stderr
    assert versions(tmp_path / "target") == {"ours": "1.0", "theirs": "2.0"}
    paths = {path for path, _ in upstream.asked}
    assert "/simple/theirs/" in paths
    assert {path for path in paths if "theirs" not in path} == set()
    # Only the client itself asked there, and it kept our token to itself.
    for _, headers in upstream.asked:
        assert headers["user-agent"].startswith(f"{tool}/")
        assert "authorization" not in headers
        assert larder.token not in str(headers)


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_name_that_was_ours_is_not_taken_from_upstream(
    larder: LarderProcess, upstream: Upstream, tool: str, tmp_path: Path
) -> None:
    upstream.asked.clear()

    done = install(larder, tool, tmp_path / "target", "gone")

    assert done.returncode != 0
    assert "gone" in done.stdout + done.stderr
    assert versions(tmp_path / "target") == {}
    assert upstream.asked == []
