"""The example of nginx in front: what goes through it arrives as it was sent."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.deploy.manifests import DEPLOY
from tests.deploy.name_server import NameServer, name_server
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess, running_larder
from tests.registry_client import open_client
from tests.waiting import eventually, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed, so its example is not tried"),
]


@contextmanager
def in_front_of(larder: LarderProcess, directory: Path, names: NameServer) -> Iterator[str]:
    """Run nginx as the example has it, on another port; yield its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    changes = {
        "$larder:8080": f"$larder:{urlsplit(larder.url).port}",
        "resolver 127.0.0.11 valid=5s": f"resolver 127.0.0.1:{names.port} valid=1s",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "pid /tmp/nginx.pid": f"pid {directory}/pid",
        "worker_processes auto": "worker_processes 1; daemon off",
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    configuration = directory / "nginx.conf"
    configuration.write_text(text, encoding="utf-8")
    with subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(directory)]) as process:
        try:
            wait_for(lambda: _takes_connections(port), what="nginx listens", timeout_seconds=20)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


async def test_uploads_pages_ranges_and_refusals_go_through_nginx(tmp_path: Path) -> None:
    wheel = build_wheel("fronted", "1.0", extra_files={"filler": bytes(range(256)) * 40_000})
    with (
        running_larder(tmp_path / "var", {"TRUSTED_PROXIES": "127.0.0.1"}) as larder,
        name_server("127.0.0.1") as names,
        in_front_of(larder, tmp_path, names) as url,
    ):
        async with open_client(url, larder.token, larder.project_id) as client:
            uploaded = await client.upload(
                wheel, file_name=wheel_file_name("fronted", "1.0"), name="fronted", version="1.0"
            )
            assert uploaded.status == 201, uploaded
            page = await client.page("fronted")
            assert page is not None
            [file] = page["files"]
            assert await client.download(file["url"]) == wheel
            async with client.session.get(file["url"].partition("#")[0], headers={"Range": "bytes=-7"}) as part:
                assert (part.status, await part.read()) == (206, wheel[-7:])
        async with open_client(url, "x" * 20, larder.project_id) as stranger:
            refused = await stranger.upload(
                wheel, file_name=wheel_file_name("fronted", "2.0"), name="fronted", version="2.0"
            )
        assert refused.status == 401
        assert file["url"].startswith(url)
        await _ask_from("127.0.0.2", f"{url}/-/health")
        wait_for(lambda: "127.0.0.2" in _clients(larder), what="the client is known", timeout_seconds=10)


async def test_processes_that_have_come_to_another_address_are_found_without_a_restart(tmp_path: Path) -> None:
    with (
        running_larder(tmp_path / "var") as larder,
        name_server("127.0.0.9") as names,  # Nobody listens there.
        in_front_of(larder, tmp_path, names) as url,
    ):
        assert await _health(url) == 502
        names.address = "127.0.0.1"

        async def answers() -> bool:
            return await _health(url) == 200

        await eventually(answers, what="the new address is found", timeout_seconds=60)


async def _health(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/-/health") as response:
        return response.status


async def _ask_from(address: str, url: str) -> None:
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
        assert response.status == 200


def _clients(larder: LarderProcess) -> set[str]:
    return {line["client"] for line in larder.events("request.finished")}


def _takes_connections(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0
