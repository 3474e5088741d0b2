"""`larder serve` with its files in S3 and its rows in SQLite: real clients, a killed worker, a lost store.

What has its rows in PostgreSQL as well is tested by the tests that run on both.
"""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.distributions import build_sdist, build_wheel, module_name, sdist_file_name, wheel_file_name
from tests.e2e.processes import LarderProcess, running_larder
from tests.e2e.shell import run_in_shell
from tests.registry_client import RegistryClient, open_client
from tests.s3_server import BUCKET, CREDENTIALS, S3Server, new_s3_server, s3_credentials
from tests.waiting import eventually, wait_for

__all__ = ["s3_credentials"]  # a fixture of its own module

pytestmark = [pytest.mark.embedded("says itself what it stands on"), pytest.mark.slow, pytest.mark.timeout(300)]

_PREFIX = "registry"
_REDIRECT_BYTES = 256 * 1024
_PATIENCE_SECONDS = 90


@pytest.fixture
def server() -> Iterator[S3Server]:
    """Give a server that the test may stop."""
    with new_s3_server() as running:
        yield running


@pytest.fixture
def larder(tmp_path: Path, server: S3Server, s3_credentials: object) -> Iterator[LarderProcess]:
    settings = {
        "BLOB_URL": server.blob_url(_PREFIX),
        "BLOB_REDIRECT_BYTES": str(_REDIRECT_BYTES),
        "UPLOAD_WAIT_SECONDS": "5",
    }
    with running_larder(tmp_path / "var", settings) as process:
        yield process


def _large(name: str, version: str, size_bytes: int = 2 * _REDIRECT_BYTES) -> bytes:
    return build_wheel(name, version, extra_files={"data.bin": random.Random(version).randbytes(size_bytes)})


async def _upload(client: RegistryClient, name: str, version: str, content: bytes) -> int:
    answer = await client.upload(content, file_name=wheel_file_name(name, version), name=name, version=version)
    return answer.status


async def _link(client: RegistryClient, name: str, version: str) -> str | None:
    page = await client.page(name)
    links = {file["filename"]: file["url"] for file in page["files"]} if page else {}
    return links.get(wheel_file_name(name, version))


async def _is_installable(client: RegistryClient, name: str, version: str, content: bytes) -> bool:
    link = await _link(client, name, version)
    return link is not None and await client.download(link) == content


def _objects(server: S3Server) -> list[str]:
    found = server.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{_PREFIX}/2").get("Contents", [])
    return [entry["Key"] for entry in found]


async def test_twine_publishes_and_pip_and_uv_install_what_is_streamed_and_what_is_lent(
    larder: LarderProcess, server: S3Server, tmp_path: Path
) -> None:
    distributions = {
        wheel_file_name("small", "1.0"): build_wheel("small", "1.0"),
        sdist_file_name("small", "1.0"): build_sdist("small", "1.0"),
        wheel_file_name("large", "1.0"): _large("large", "1.0"),
    }
    for name, content in distributions.items():
        (tmp_path / name).write_bytes(content)
    pypi = f"{larder.url}/api/v4/projects/{larder.project_id}/packages/pypi"

    published = await asyncio.to_thread(
        run_in_shell,
        f"twine upload --repository-url {pypi} *.whl *.tar.gz",
        cwd=tmp_path,
        TWINE_USERNAME="root",
        TWINE_PASSWORD=larder.token,
    )
    assert published.returncode == 0, published.stdout + published.stderr
    index = f"http://root:{larder.token}@{pypi.removeprefix('http://')}/simple/"
    for tool in ("pip install --no-input", "uv pip install"):
        target = tmp_path / f"by-{tool.partition(' ')[0]}"
        done = await asyncio.to_thread(
            run_in_shell,
            f"{tool} --index-url {index} small large --target '{target}' --no-cache-dir",
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert {f"{module_name(name)}.py" for name in ("small", "large")} <= {path.name for path in target.iterdir()}

    await _ranges_come_from_here_or_there(larder, distributions)
    assert len(_objects(server)) == 3
    await _delete_all(larder)
    await eventually(
        lambda: asyncio.to_thread(lambda: not _objects(server)),
        what="the objects are removed",
        timeout_seconds=_PATIENCE_SECONDS,
    )
    text = larder.page + larder.errors.read_text("utf-8")
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in text
    assert "X-Amz-Signature" not in text


async def _ranges_come_from_here_or_there(larder: LarderProcess, distributions: dict[str, bytes]) -> None:
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        for name, is_lent in (("small", False), ("large", True)):
            link = await _link(client, name, "1.0")
            assert link is not None
            content = distributions[wheel_file_name(name, "1.0")]
            async with client.session.get(link, headers={"Range": "bytes=100-199"}) as response:
                assert (response.status, await response.read()) == (206, content[100:200])
                assert [one.status for one in response.history] == ([302] if is_lent else [])
            async with client.session.head(link) as response:
                assert (response.status, response.content_length) == (200, len(content))
                assert response.history == ()


async def _delete_all(larder: LarderProcess) -> None:
    packages = f"{larder.url}/api/v4/projects/{larder.project_id}/packages"
    async with aiohttp.ClientSession(headers={"PRIVATE-TOKEN": larder.token}) as session:
        async with session.get(packages) as response:
            ids = [package["id"] for package in await response.json()]
        for package_id in ids:
            async with session.delete(f"{packages}/{package_id}") as response:
                assert response.status == 204


async def test_an_upload_outlives_its_worker_and_leaves_no_copy_behind(larder: LarderProcess, tmp_path: Path) -> None:
    scratch, content = tmp_path / "var" / "scratch", _large("pkg", "1.0", 40 * 1024 * 1024)
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        upload = asyncio.create_task(_upload(client, "pkg", "1.0", content))
        killed = await asyncio.to_thread(_kill_worker_while_it_copies, larder, scratch)
        assert await upload in (201, 202)

        async def is_installable() -> bool:
            return await _is_installable(client, "pkg", "1.0", content)

        await eventually(is_installable, what="the file is installable", timeout_seconds=_PATIENCE_SECONDS)
    assert killed not in larder.pids("larder worker")
    assert list(scratch.iterdir()) == []
    assert larder.events("scratch.cleared")


def _kill_worker_while_it_copies(larder: LarderProcess, scratch: Path) -> int:
    def copies() -> bool:
        return scratch.is_dir() and any(scratch.iterdir())

    wait_for(copies, what="the worker copies the file", timeout_seconds=_PATIENCE_SECONDS)
    (pid,) = larder.pids("larder worker")
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_a_store_that_is_lost_for_a_while_costs_clear_answers_and_nothing_else(
    larder: LarderProcess, server: S3Server
) -> None:
    small, large = build_wheel("small", "1.0"), _large("large", "1.0")
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        assert await _upload(client, "small", "1.0", small) == 201
        assert await _upload(client, "large", "1.0", large) == 201
        assert await _is_installable(client, "small", "1.0", small)
        waiting = await _take_one_that_waits(larder, client)
        await asyncio.to_thread(server.kill)
        _let_the_worker_go_on(larder)

        turned_away = _large("later", "1.0")
        answer = await client.upload(
            turned_away, file_name=wheel_file_name("later", "1.0"), name="later", version="1.0"
        )
        assert (answer.status, answer.body) == (503, {"message": "503 Service Unavailable"})
        assert int(answer.headers["Retry-After"]) > 0
        assert await _readiness(client) == 200
        assert await _blob_store_is_told_away(client)
        assert set(await client.names()) == {"large", "small"}
        assert await _deletes(larder, "small") == 204
        assert await client.names() == ["large"]
        await asyncio.to_thread(_wait_until_the_worker_has_failed, larder)

        await asyncio.to_thread(server.start)

        async def is_installable() -> bool:
            return await _is_installable(client, "waiting", "1.0", waiting)

        await eventually(is_installable, what="what was promised is there", timeout_seconds=_PATIENCE_SECONDS)
        assert await _is_installable(client, "large", "1.0", large)
        assert await _upload(client, "later", "1.0", turned_away) == 201
        await eventually(
            lambda: asyncio.to_thread(lambda: len(_objects(server)) == 3),
            what="what was deleted is gone",
            timeout_seconds=_PATIENCE_SECONDS,
        )
        await eventually(
            lambda: _is_ready(client), what="the registry is ready again", timeout_seconds=_PATIENCE_SECONDS
        )
    assert len(larder.events("api.started")) == 2
    assert larder.events("process.died") == []


async def _take_one_that_waits(larder: LarderProcess, client: RegistryClient) -> bytes:
    """Upload a file of which the worker gives no verdict in time."""
    (worker,) = larder.pids("larder worker")
    os.kill(worker, signal.SIGSTOP)
    content = build_wheel("waiting", "1.0")
    assert await _upload(client, "waiting", "1.0", content) == 202
    return content


def _let_the_worker_go_on(larder: LarderProcess) -> None:
    (worker,) = larder.pids("larder worker")
    os.kill(worker, signal.SIGCONT)


def _wait_until_the_worker_has_failed(larder: LarderProcess) -> None:
    """Return when the worker has tried, in vain, to read what was promised."""
    wait_for(
        lambda: "BlobStoreUnavailable" in larder.errors.read_text("utf-8"),
        what="the worker has tried to read the file",
        timeout_seconds=_PATIENCE_SECONDS,
    )


async def _readiness(client: RegistryClient) -> int:
    async with client.session.get(f"{client.url}/-/readiness") as response:
        return response.status


async def _blob_store_is_told_away(client: RegistryClient) -> bool:
    async with client.session.get(f"{client.url}/-/readiness?all=1") as response:
        return bool((await response.json())["blob_store_check"][0]["status"] == "failed")


async def _is_ready(client: RegistryClient) -> bool:
    return await _readiness(client) == 200


async def _deletes(larder: LarderProcess, name: str) -> int:
    packages = f"{larder.url}/api/v4/projects/{larder.project_id}/packages"
    async with aiohttp.ClientSession(headers={"PRIVATE-TOKEN": larder.token}) as session:
        async with session.get(packages, params={"package_name": name}) as response:
            (package,) = await response.json()
        async with session.delete(f"{packages}/{package['id']}") as response:
            return response.status
