"""Deleting while others list, download and publish the same versions again: the deleted is gone, the rest is whole."""

import asyncio
import hashlib
import random
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess, running_larder
from tests.faults.data_directory import DataDirectory
from tests.registry_client import RegistryClient, open_client
from tests.waiting import wait_for

_SEED = 20261121
_PACKAGES = 200
_NAMES = 10
_DELETERS = _LISTERS = _DOWNLOADERS = 4
_UPLOADERS = 8


@dataclass(slots=True)
class _Story:
    """What happened, in the time of this process.

    Args:
        waiting: packages that are still to be deleted: (id, name, version).
        doomed: digests of the files of packages whose delete was sent.
        gone_at: when its 204 had come.
        again: name and version of what was published a second time -> the new bytes.
        wrong: what readers saw that they must not.
    """

    waiting: list[tuple[int, str, str]]
    doomed: set[str] = field(default_factory=set)
    gone_at: dict[int, float] = field(default_factory=dict)
    deleted: list[tuple[str, str]] = field(default_factory=list)
    again: dict[tuple[str, str], bytes] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return len(self.gone_at) == _PACKAGES


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_a_delete_is_final_for_all_and_harms_nothing_else(tmp_path: Path) -> None:
    with running_larder(tmp_path / "var") as larder:
        await _delete_while_others_work(larder)


async def _delete_while_others_work(larder: LarderProcess) -> None:
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        versions = [(f"load-{number % _NAMES}", f"1.{number // _NAMES}") for number in range(_PACKAGES)]
        await _publish_all(client, list(versions))
        packages = await _packages(client, larder)
        assert len(packages) == _PACKAGES
        story = _Story(waiting=[(one["id"], one["name"], one["version"]) for one in packages])
        random.Random(_SEED).shuffle(story.waiting)

        async with asyncio.TaskGroup() as group:
            for _ in range(_DELETERS):
                group.create_task(_delete(story, client, larder))
            for number in range(_LISTERS):
                group.create_task(_list(story, client, larder, random.Random(number)))
            for number in range(_DOWNLOADERS):
                group.create_task(_download(story, client, random.Random(number)))

        directory = DataDirectory(larder.data_dir)
        await asyncio.to_thread(
            wait_for, lambda: directory.count_waiting() == 0, what="nothing waits any more", timeout_seconds=120
        )
        left = {(one["name"], one["version"]): one["id"] for one in await _packages(client, larder)}
        pages = {name: await client.page(name) for name in {name for name, _ in story.again}}

    assert story.wrong == []
    assert sorted(story.deleted) == sorted(versions)
    assert left.keys() == story.again.keys()
    assert not set(left.values()) & set(story.gone_at)
    listed = [file["filename"] for page in pages.values() if page for file in page["files"]]
    assert sorted(listed) == sorted(wheel_file_name(name, version) for name, version in story.again)
    rows, blobs = await asyncio.to_thread(_rows_and_blobs, larder.data_dir)
    assert rows == blobs
    assert len(rows) == len(story.again)


async def _publish_all(client: RegistryClient, waiting: list[tuple[str, str]]) -> None:
    async def publish() -> None:
        while waiting:
            name, version = waiting.pop()
            await _publish(client, name, version, build_wheel(name, version))

    async with asyncio.TaskGroup() as group:
        for _ in range(_UPLOADERS):
            group.create_task(publish())


async def _publish(client: RegistryClient, name: str, version: str, content: bytes) -> None:
    answer = await client.upload(content, file_name=wheel_file_name(name, version), name=name, version=version)
    assert answer.status == 201, answer


async def _delete(story: _Story, client: RegistryClient, larder: LarderProcess) -> None:
    """Delete packages one by one; publish every other one again at once, with other bytes."""
    while story.waiting:
        package_id, name, version = story.waiting.pop()
        story.doomed.add(hashlib.sha256(build_wheel(name, version)).hexdigest())
        async with client.session.delete(
            f"{_api(larder)}/packages/{package_id}", headers={"PRIVATE-TOKEN": larder.token}
        ) as answer:
            assert answer.status == 204, await answer.text()
        story.gone_at[package_id] = time.monotonic()
        story.deleted.append((name, version))
        if package_id % 2:
            content = build_wheel(name, version, requires_python=">=3.9")
            await _publish(client, name, version, content)
            story.again[name, version] = content


async def _list(story: _Story, client: RegistryClient, larder: LarderProcess, chance: random.Random) -> None:
    """Ask for pages of the list, none of which may show what was gone before it was asked for."""
    while not story.is_over:
        asked_at = time.monotonic()
        number = chance.randrange(1, 5)
        async with client.session.get(
            f"{_api(larder)}/packages?per_page=100&page={number}", headers={"PRIVATE-TOKEN": larder.token}
        ) as answer:
            shown = [one["id"] for one in await answer.json()]
        story.wrong += [f"package {one} is listed" for one in shown if story.gone_at.get(one, asked_at) < asked_at]


async def _download(story: _Story, client: RegistryClient, chance: random.Random) -> None:
    """Follow links of pages: each leads to its bytes, unless a delete was sent before the download ended."""
    while not story.is_over:
        name = f"load-{chance.randrange(_NAMES)}"
        page = await client.page(name)
        if page is None or not page["files"]:
            continue
        link = chance.choice(page["files"])
        async with client.session.get(link["url"].partition("#")[0]) as answer:
            content = await answer.read()
        if answer.status == 200 and len(content) == link["size"]:
            continue
        if link["hashes"]["sha256"] not in story.doomed:
            story.wrong.append(f"{link['filename']} is listed and answers {answer.status}")


async def _packages(client: RegistryClient, larder: LarderProcess) -> list[dict[str, Any]]:
    """Return all packages of the list, page by page."""
    found: list[dict[str, Any]] = []
    number = 1
    while True:
        async with client.session.get(
            f"{_api(larder)}/packages?per_page=100&page={number}", headers={"PRIVATE-TOKEN": larder.token}
        ) as answer:
            page = await answer.json()
        if not page:
            return found
        found += page
        number += 1


def _api(larder: LarderProcess) -> str:
    return f"{larder.url}/api/v4/projects/{larder.project_id}"


def _rows_and_blobs(data_dir: Path) -> tuple[set[str], set[str]]:
    with sqlite3.connect(f"file:{data_dir}/larder.sqlite3?mode=ro", uri=True, timeout=30) as database:
        rows = {row[0] for row in database.execute("SELECT blob_key FROM package_files")}
    database.close()
    root = data_dir / "blobs"
    return rows, {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
