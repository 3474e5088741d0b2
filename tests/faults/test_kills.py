"""kill -9 of every part, over and over, while clients publish: nothing promised is lost, nothing listed is missing."""

import asyncio
import os
import random
import signal
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.distributions import build_wheel
from tests.e2e.processes import LarderProcess, running_larder
from tests.faults.ledger import Findings, Ledger, Sent, compare, wait_until_processed
from tests.registry_client import RegistryClient, open_client

_SEED = 20261121
_CLIENTS = 6
_KILLS_EACH = 20
_TITLES = ("larder api", "larder worker", "redis-server")
_RETRY_PAUSE_SECONDS = 0.05
_ACCEPTED_PAUSE_SECONDS = 2.0
"""While Redis or the worker is away an upload is told 202 at once; without a pause the backlog would be endless."""
_KILL_PAUSE_SECONDS = (0.0, 0.5)
_UPLOADS_BETWEEN_KILLS = 2


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
async def test_killing_any_part_loses_and_doubles_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger()
    killed: Counter[str] = Counter()
    # A short wait: an upload whose worker was killed is told 202 and its client goes on, instead of pausing the test.
    with running_larder(tmp_path / "var", {"UPLOAD_WAIT_SECONDS": "2"}) as larder:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for number in range(_CLIENTS):
                    group.create_task(_publish_until(stop, client, ledger, number))
                killed = await _kill_parts(larder, ledger)
                stop.set()
            database = tmp_path / "var" / "larder.sqlite3"
            await wait_until_processed(database, timeout_seconds=180)
            findings = await compare(ledger, client, database=database, blobs=tmp_path / "var" / "blobs")
    counts = ", ".join(f"{title} {killed[title]}" for title in _TITLES)
    with capsys.disabled():
        sys.stdout.write(
            f"\nseed {_SEED}: {killed.total()} kills ({counts}), {len(ledger.promised)} uploads: {findings}\n"
        )

    assert all(killed[title] >= _KILLS_EACH for title in _TITLES)
    assert len(ledger.promised) >= killed.total() * _UPLOADS_BETWEEN_KILLS
    assert not ledger.refused
    assert findings == Findings()


async def _publish_until(stop: asyncio.Event, client: RegistryClient, ledger: Ledger, number: int) -> None:
    version = 0
    while not stop.is_set():
        version += 1
        name = f"part-{number}"
        sent = Sent(name, f"1.{version}", *_wheel(name, f"1.{version}"))
        while not await _publish(client, ledger, sent):
            await _pause(_RETRY_PAUSE_SECONDS)
        if sent.file_name in ledger.accepted:
            await _pause(_ACCEPTED_PAUSE_SECONDS)


async def _publish(client: RegistryClient, ledger: Ledger, sent: Sent) -> bool:
    """Send the file once; return whether the answer was final, as an uploader that tries again would take it."""
    try:
        answer = await client.upload(sent.content, file_name=sent.file_name, name=sent.name, version=sent.version)
    except (aiohttp.ClientError, TimeoutError):
        return False
    if answer.status in (201, 202):
        ledger.promised[sent.file_name] = sent
        if answer.status == 202:
            ledger.accepted.add(sent.file_name)
        return True
    if answer.status < 500:
        ledger.refused[sent.file_name] = str(answer.body)
        return True
    return False


async def _kill_parts(larder: LarderProcess, ledger: Ledger) -> Counter[str]:
    chance = random.Random(_SEED)
    plan = [title for title in _TITLES for _ in range(_KILLS_EACH)]
    chance.shuffle(plan)
    killed: Counter[str] = Counter()
    for title in plan:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(_kill_one, larder, title, chance):
                await _pause(_RETRY_PAUSE_SECONDS)
        killed[title] += 1
        goal = len(ledger.promised) + _UPLOADS_BETWEEN_KILLS
        async with asyncio.timeout(60):
            while len(ledger.promised) < goal:
                await _pause(_RETRY_PAUSE_SECONDS)
        await _pause(chance.uniform(*_KILL_PAUSE_SECONDS))
    return killed


def _kill_one(larder: LarderProcess, title: str, chance: random.Random) -> bool:
    pids = larder.pids(title)
    with suppress(ProcessLookupError):
        if pids:
            os.kill(chance.choice(pids), signal.SIGKILL)
            return True
    return False


def _wheel(name: str, version: str) -> tuple[str, bytes]:
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl", build_wheel(name, version)


async def _pause(seconds: float) -> None:
    """Let time pass between two blows; nothing is waited for."""
    await asyncio.to_thread(threading.Event().wait, seconds)
