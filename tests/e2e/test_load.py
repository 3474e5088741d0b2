"""Many uploads at once, and large ones: what is promised holds, and memory stays where it is."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.distributions import build_wheel, wheel_file_name, write_large_wheel
from tests.e2e.processes import LarderProcess
from tests.e2e.resident_memory import PeakWatcher
from tests.registry_client import RegistryClient, open_client

pytestmark = [pytest.mark.slow, pytest.mark.alone]

_CLIENTS = 8
_NAMES = 40
_MIB = 1024 * 1024


@pytest.mark.parametrize(
    "uploads", [pytest.param(32), pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
async def test_every_201_is_on_the_page_and_downloads_at_the_very_next_request(
    larder: LarderProcess, uploads: int
) -> None:
    waiting = [(f"load-{number % _NAMES}", f"1.{number // _NAMES}") for number in range(uploads)]
    expected = {wheel_file_name(name, version) for name, version in waiting}

    async def publish(client: RegistryClient) -> None:
        while waiting:
            await _publish_and_look(client, *waiting.pop())

    async with open_client(larder.url, larder.token, larder.project_id) as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(_CLIENTS):
                group.create_task(publish(client))
        pages = [await client.page(name) for name in await client.names()]

    listed = [file["filename"] for page in pages if page for file in page["files"]]
    assert sorted(listed) == sorted(expected)
    assert len(larder.blobs()) == uploads


async def _publish_and_look(client: RegistryClient, name: str, version: str) -> None:
    content, file_name = build_wheel(name, version), wheel_file_name(name, version)
    answer = await client.upload(content, file_name=file_name, name=name, version=version)
    assert answer.status == 201, answer
    page = await client.page(name)
    assert page is not None
    (link,) = [file for file in page["files"] if file["filename"] == file_name]
    assert link["hashes"] == {"sha256": hashlib.sha256(content).hexdigest()}
    assert await client.download(link["url"]) == content


async def test_the_same_file_sent_by_eight_clients_at_once_is_one_file(larder_of_module: LarderProcess) -> None:
    larder = larder_of_module
    content, file_name = build_wheel("same", "1.0"), wheel_file_name("same", "1.0")
    async with open_client(larder.url, larder.token, larder.project_id) as client, asyncio.TaskGroup() as group:
        uploads = [
            group.create_task(client.upload(content, file_name=file_name, name="same", version="1.0"))
            for _ in range(_CLIENTS)
        ]

    assert [upload.result().status for upload in uploads] == [201] * _CLIENTS
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        page = await client.page("same")
    assert page is not None
    assert [file["filename"] for file in page["files"]] == [file_name]


async def test_different_files_of_one_name_sent_at_once_leave_one_of_them(larder_of_module: LarderProcess) -> None:
    larder = larder_of_module
    file_name = wheel_file_name("rivals", "1.0")
    contents = [build_wheel("rivals", "1.0", extra_files={"who.txt": bytes([n])}) for n in range(_CLIENTS)]
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        async with asyncio.TaskGroup() as group:
            uploads = [
                group.create_task(client.upload(content, file_name=file_name, name="rivals", version="1.0"))
                for content in contents
            ]
        answers = [upload.result() for upload in uploads]
        page = await client.page("rivals")

    assert sorted(answer.status for answer in answers) == [201] + [400] * (_CLIENTS - 1)
    taken = "400 Bad request - Validation failed: File name has already been taken (file already exists)"
    assert {answer.body["message"] for answer in answers if answer.status == 400} == {taken}
    winner = contents[[answer.status for answer in answers].index(201)]
    assert page is not None
    assert [file["hashes"]["sha256"] for file in page["files"]] == [hashlib.sha256(winner).hexdigest()]


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_gibibyte_raises_no_process_by_64_mib(larder: LarderProcess, tmp_path: Path) -> None:
    wheel = tmp_path / wheel_file_name("huge", "1.0")
    await asyncio.to_thread(write_large_wheel, wheel, "huge", "1.0", mebibytes=1024)
    pids = [pid for title in ("larder api", "larder worker") for pid in larder.pids(title)]
    await _warm_up(larder)

    with PeakWatcher(pids) as watcher:
        status = await _upload_file(larder, wheel)

    assert status == 201
    assert max(watcher.rises.values()) < 64 * _MIB, watcher.rises


async def _warm_up(larder: LarderProcess) -> None:
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        for number in range(6):
            await _publish_and_look(client, "warm", f"1.{number}")


async def _upload_file(larder: LarderProcess, wheel: Path) -> int:
    async def content() -> AsyncIterator[bytes]:
        with wheel.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, _MIB):
                yield chunk

    with aiohttp.MultipartWriter("form-data") as form:
        for key, value in (("name", "huge"), ("version", "1.0")):
            form.append(value).set_content_disposition("form-data", name=key)
        part = form.append(content(), {"Content-Type": "application/octet-stream"})
        part.set_content_disposition("form-data", name="content", filename=wheel.name)
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            url = f"{larder.url}/api/v4/projects/{larder.project_id}/packages/pypi"
            async with client.session.post(url, data=form, timeout=aiohttp.ClientTimeout(total=240)) as response:
                return response.status
