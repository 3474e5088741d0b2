"""`larder backup`, `restore` and `check` as an operator runs them, beside a registry that many use meanwhile."""

import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.blob_keys import new_blob_key
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import (
    LarderProcess,
    clean_environment,
    larder_command,
    run_larder,
    running_larder,
    session_members,
)
from tests.faults.data_directory import DataDirectory
from tests.registry_client import RegistryClient, open_client
from tests.waiting import eventually, wait_for

_SEED = 20261201
_CALM = 12
"""Names that nobody touches while the backup is made: their pages must be equal afterwards."""
_BEFORE = 40
_DURING = 30
_UPLOADERS = 4


@dataclass(slots=True)
class _Story:
    """What clients were told, and when: in the time of this process.

    Args:
        published: bytes by name, and when they were acknowledged.
        deletes_sent: when a delete of a name was sent.
        yanked: names whose yank was acknowledged.
    """

    published: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    deletes_sent: dict[str, float] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    yanked: set[str] = field(default_factory=set)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_backup_under_load_holds_all_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    story = _Story()
    place = tmp_path / "backup"
    with running_larder(tmp_path / "var") as larder:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            names = [f"load-{number}" for number in range(_BEFORE)]
            await _publish_all(story, client, iter([*names, *(f"calm-{number}" for number in range(_CALM))]))
            calm = {name: _page(await client.page(name)) for name in story.published if name.startswith("calm")}
            stop = asyncio.Event()
            later = itertools.takewhile(lambda _: not stop.is_set(), (f"later-{n}" for n in itertools.count()))
            async with asyncio.TaskGroup() as group:
                group.create_task(_publish_all(story, client, later))
                group.create_task(_delete_and_yank(story, client, larder, names))
                began_at = time.monotonic()
                told = await asyncio.to_thread(run_larder, "backup", {"DATA_DIR": str(larder.data_dir)}, str(place))
                ended_at = time.monotonic()
                assert told.returncode == 0, told.stderr
                enough = len(story.published) + _DURING

                async def has_gone_on() -> bool:
                    return len(story.published) >= enough and len(story.deletes_sent) >= _BEFORE // 2

                await eventually(has_gone_on, what="the clients have gone on", timeout_seconds=120)
                stop.set()
            await _until_nothing_waits(larder)
        checked = await asyncio.to_thread(run_larder, "check", {"DATA_DIR": str(larder.data_dir)}, "--full")
        assert (checked.returncode, checked.stdout.splitlines()[0][:5]) == (0, "clean"), checked.stdout

    restored = {"DATA_DIR": str(tmp_path / "restored")}
    told = await asyncio.to_thread(run_larder, "restore", restored, str(place))
    assert told.returncode == 0, told.stderr
    checked = await asyncio.to_thread(run_larder, "check", restored, "--full")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout

    with running_larder(tmp_path / "restored") as larder:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            await _until_nothing_waits(larder)
            pages = {name: await client.page(name) for name in await client.names()}
            kept = {
                name: content
                for name, (content, acknowledged_at) in story.published.items()
                if acknowledged_at < began_at and story.deletes_sent.get(name, ended_at) >= ended_at
            }
            wrong = [name for name, content in kept.items() if await _bytes_of(client, pages.get(name)) != content]
            assert wrong == []
            assert {name: _page(pages[name]) for name in calm} == calm
            for name, page in pages.items():
                if name not in kept:
                    # Published, or deleted, while the backup was made: it has the one or the other, and whole.
                    assert await _bytes_of(client, page) in (None, story.published[name][0])
    assert len(kept) > _CALM
    assert any(began_at < sent_at < ended_at for sent_at in story.deletes_sent.values()), "the deletes came too early"


@pytest.mark.slow
@pytest.mark.embedded("puts files onto the disk that are to be backed up")
def test_a_backup_that_is_told_to_stop_leaves_nothing(tmp_path: Path) -> None:
    settings = {"DATA_DIR": str(tmp_path / "var")}
    assert run_larder("migrate", settings).returncode == 0
    (tmp_path / "var" / "blobs").mkdir()
    process = subprocess.Popen(
        larder_command("backup", str(tmp_path / "backup")),
        env=clean_environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(
            lambda: process.poll() is not None or (tmp_path / ".backup.part").exists(),
            what="the backup has begun",
            timeout_seconds=60,
        )
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        for one in session_members(process.pid):
            os.kill(one.pid, signal.SIGKILL)
    assert not (tmp_path / ".backup.part").exists()
    assert (tmp_path / "backup").exists() is (process.returncode == 0)


@pytest.mark.slow
@pytest.mark.embedded("puts files onto the disk that are to be backed up")
def test_a_registry_is_backed_up_restored_and_checked_from_the_command_line(tmp_path: Path) -> None:
    settings, restored = {"DATA_DIR": str(tmp_path / "var")}, {"DATA_DIR": str(tmp_path / "restored")}
    assert run_larder("check", settings).returncode == 2, "there is nothing to check"
    assert run_larder("migrate", settings).returncode == 0
    (tmp_path / "var" / "blobs").mkdir()

    backed_up = run_larder("backup", settings, str(tmp_path / "backup"))
    brought_back = run_larder("restore", restored, str(tmp_path / "backup"))
    orphan = new_blob_key(datetime(2026, 1, 1, tzinfo=UTC))
    place = tmp_path / "restored" / "blobs" / orphan
    place.parent.mkdir(parents=True)
    place.write_bytes(b"abc")
    found = run_larder("check", restored)
    mended = run_larder("check", restored, "--repair", "--json")

    assert (backed_up.returncode, backed_up.stderr) == (0, "")
    assert (brought_back.returncode, brought_back.stderr) == (0, "")
    assert (found.returncode, found.stderr) == (1, "")
    assert found.stdout.splitlines() == [
        f"orphan: {orphan}: no file has these bytes",
        "1 findings (0 files, 1 blobs, 0 core metadata; sizes only; --full reads every byte)",
    ]
    assert (mended.returncode, json.loads(mended.stdout)) == (
        0,
        {
            "findings": [
                {
                    "kind": "orphan",
                    "target": orphan,
                    "problem": "no file has these bytes",
                    "mended": True,
                    "told": "was removed",
                }
            ],
            "notes": [],
            "checked": {"files": 0, "blobs": 1, "core metadata": 0},
        },
    )
    assert not place.exists()


def _page(page: dict[str, Any] | None) -> list[tuple[str, str, Any, Any, Any]]:
    """Return what a page says of its files, but for the address of the registry."""
    assert page is not None
    return [
        (file["filename"], file["hashes"]["sha256"], file["size"], file["upload-time"], file.get("core-metadata"))
        for file in page["files"]
    ]


async def _bytes_of(client: RegistryClient, page: dict[str, Any] | None) -> bytes | None:
    if page is None or not page["files"]:
        return None
    (file,) = page["files"]
    return await client.download(file["url"])


async def _until_nothing_waits(larder: LarderProcess) -> None:
    directory = DataDirectory(larder.data_dir)
    await asyncio.to_thread(
        wait_for, lambda: directory.count_waiting() == 0, what="nothing waits any more", timeout_seconds=120
    )


async def _publish_all(story: _Story, client: RegistryClient, names: Iterator[str]) -> None:
    async def publish() -> None:
        for name in names:
            content = build_wheel(name, "1.0")
            answer = await client.upload(content, file_name=wheel_file_name(name, "1.0"), name=name, version="1.0")
            assert answer.status in (201, 202), answer
            story.published[name] = (content, time.monotonic())

    async with asyncio.TaskGroup() as group:
        for _ in range(_UPLOADERS):
            group.create_task(publish())


async def _delete_and_yank(story: _Story, client: RegistryClient, larder: LarderProcess, names: list[str]) -> None:
    """Delete every other of the names, in no order, and yank the rest."""
    api = f"{larder.url}/api/v4/projects/{larder.project_id}/packages"
    headers = {"PRIVATE-TOKEN": larder.token}
    async with client.session.get(f"{api}?per_page=100", headers=headers) as answer:
        ids = {one["name"]: one["id"] for one in json.loads(await answer.read())}
    mixed = list(names)
    random.Random(_SEED).shuffle(mixed)
    for number, name in enumerate(mixed):
        await asyncio.to_thread(
            threading.Event().wait, 0.15
        )  # So that the backup, whose process has to start, falls in between.
        if number % 2:
            async with client.session.put(f"{api}/{ids[name]}/yank", headers=headers) as answer:
                assert answer.status == 200, await answer.text()
            story.yanked.add(name)
        else:
            story.deletes_sent[name] = time.monotonic()
            async with client.session.delete(f"{api}/{ids[name]}", headers=headers) as answer:
                assert answer.status == 204, await answer.text()
            story.deleted.add(name)
