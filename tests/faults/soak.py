"""The soak: clients do all that clients do, at random, while a process is killed every ten seconds.

`make soak` runs it; SOAK_MINUTES says how long (20), FAULT_SEED which chances. It is no part of the tests, because of
its length.

In the first three quarters of the time any process is killed: an API process, the worker, Redis, the supervisor. In the
last quarter the blows go on, but only at the youngest API process, so that there is an API process, a worker and a
supervisor that live long enough under full load for their memory and descriptors to be judged: `growth.py` says how.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from tests.e2e.shell import run_in_shell
from tests.faults.growth import Samples
from tests.faults.ledger import Upload
from tests.faults.registry import API, REDIS, WORKER, FaultyRegistry, faulty_registry
from tests.faults.report import FaultReport
from tests.faults.workload import Owner, Reader, pause, sdist, wheel

_MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))
_CLIENTS = 16
_NAMES_EACH = 2
_MOST_FILES_EACH = 24
_KILL_EVERY_SECONDS = 10.0
_SAMPLE_EVERY_SECONDS = 2.0
_PIP_EVERY_SECONDS = 15.0
_SUPERVISOR = "larder serve"
_VICTIMS = (API, API, WORKER, WORKER, REDIS, REDIS, _SUPERVISOR)
_LARGEST_BYTES = 3 * 1024 * 1024
_STEADY = wheel("steady", "1.0", content=bytes(100_000))
"""Is never deleted, so that pip always finds it."""


@dataclass(slots=True)
class _Soak:
    """One soak.

    Args:
        ends_at: when, in the time of `time.monotonic()`.
    """

    registry: FaultyRegistry
    chance: Random
    ends_at: float
    kills: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    samples: Samples = field(default_factory=Samples)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at

    @property
    def spares_the_old(self) -> bool:
        return self.ends_at - time.monotonic() <= _MINUTES * 60 / 4

    def a_chance(self) -> Random:
        """Return chances of its own for one client."""
        return Random(self.chance.getrandbits(64))


@pytest.mark.timeout(_MINUTES * 60 + 900)
async def test_soak(tmp_path: Path, fault_report: FaultReport, chance: Random) -> None:
    async with faulty_registry(tmp_path / "var") as registry:
        await registry.owner.publish(_STEADY)
        soak = _Soak(registry, chance, time.monotonic() + _MINUTES * 60)
        async with asyncio.TaskGroup() as group:
            for number in range(_CLIENTS):
                client = _Client(number, registry.owner, registry.reader, soak.a_chance())
                group.create_task(_work(soak, client))
            group.create_task(_install_with_pip(soak, tmp_path))
            group.create_task(_kill(soak))
            group.create_task(_sample(soak))

        findings = await registry.check()
        sys.stdout.write(f"\n{_told(soak)}\n")
        fault_report.conclude(
            f"soak of {_MINUTES:g} minutes", runs=soak.kills.total(), ledger=registry.ledger, findings=findings
        )
        assert soak.samples.growth() == []


def _told(soak: _Soak) -> str:
    kills = ", ".join(f"{title} {count}" for title, count in sorted(soak.kills.items()))
    done = ", ".join(f"{action} {count}" for action, count in sorted(soak.done.items()))
    return "\n".join([f"killed: {kills}", f"done: {done}", *soak.samples.lines()])


@dataclass(slots=True)
class _Client:
    """One of sixteen, and what it has published."""

    number: int
    owner: Owner
    reader: Reader
    chance: Random
    published: dict[str, Upload] = field(default_factory=dict)

    async def act(self) -> str:
        """Do one thing at random, and return its name."""
        if not self.published or (self.chance.random() < 0.4 and len(self.published) < _MOST_FILES_EACH):
            return await self._publish()
        actions: list[Callable[[], Awaitable[str]]] = [self._install, self._install, self._list, self._yank]
        actions += [self._publish_again, self._publish_other_bytes, self._delete_file, self._delete_package]
        return await self.chance.choice(actions)()

    async def _publish(self) -> str:
        name = f"soak-{self.number}-{self.chance.randrange(_NAMES_EACH)}"
        make = self.chance.choice((wheel, sdist))
        upload = make(name, f"1.{self.chance.randrange(_MOST_FILES_EACH)}", content=self._content())
        if upload.file_name not in self.published:
            await self.owner.publish(upload)
            await self.owner.wait_until_installable(upload)
            self.published[upload.file_name] = upload
        return "publish"

    async def _publish_again(self) -> str:
        await self.owner.publish(self._one())
        return "publish again"

    async def _publish_other_bytes(self) -> str:
        one = self._one()
        make = wheel if one.file_name.endswith(".whl") else sdist
        await self.owner.publish_refused(make(one.name, one.version, content=b"other bytes"))
        return "publish other bytes"

    async def _install(self) -> str:
        name = f"soak-{self.chance.randrange(_CLIENTS)}-{self.chance.randrange(_NAMES_EACH)}"
        await self.reader.install(name)
        return "install"

    async def _list(self) -> str:
        await self.reader.list()
        return "list"

    async def _yank(self) -> str:
        one = self._one()
        await self.owner.yank(one.name, one.version, one.file_name, to=self.chance.random() < 0.5)
        return "yank"

    async def _delete_file(self) -> str:
        one = self._one()
        await self.owner.delete_file(one.name, one.version, one.file_name)
        del self.published[one.file_name]
        return "delete file"

    async def _delete_package(self) -> str:
        one = self._one()
        files = [
            file.file_name for file in self.published.values() if (file.name, file.version) == (one.name, one.version)
        ]
        await self.owner.delete_package(one.name, one.version, files)
        for file_name in files:
            del self.published[file_name]
        return "delete package"

    def _one(self) -> Upload:
        return self.published[self.chance.choice(sorted(self.published))]

    def _content(self) -> bytes:
        largest = _LARGEST_BYTES if self.chance.random() < 0.05 else 100_000
        return self.chance.randbytes(self.chance.randrange(largest))


async def _work(soak: _Soak, client: _Client) -> None:
    while not soak.is_over:
        soak.done[await client.act()] += 1
        await pause(client.chance.uniform(0.0, 0.5))


async def _install_with_pip(soak: _Soak, tmp_path: Path) -> None:
    registry = soak.registry.client.registry
    scheme, _, rest = registry.url.partition("://")
    token = soak.registry.client.token
    index = f"{scheme}://root:{token}@{rest}/api/v4/projects/{registry.project_id}/packages/pypi/simple/"
    command = f"pip download -q --no-deps --no-cache-dir --no-input -d pip --index-url {index} steady"
    while not soak.is_over:
        (tmp_path / "pip" / _STEADY.file_name).unlink(missing_ok=True)
        run = await asyncio.to_thread(run_in_shell, command, cwd=tmp_path)
        # All API processes may be away for longer than pip tries again; but it must never take other bytes for its own.
        soak.done["pip" if run.returncode == 0 else "pip that gave up"] += 1
        if run.returncode == 0 and (tmp_path / "pip" / _STEADY.file_name).read_bytes() != _STEADY.content:
            soak.registry.ledger.wrong.append("pip got other bytes")
        await pause(soak.chance.uniform(0.5, 1.5) * _PIP_EVERY_SECONDS)


async def _kill(soak: _Soak) -> None:
    while not soak.is_over:
        await pause(_KILL_EVERY_SECONDS)
        title = API if soak.spares_the_old else soak.chance.choice(_VICTIMS)
        if soak.spares_the_old:
            await soak.registry.kill(title, max, of=2)
        elif title == _SUPERVISOR:
            await soak.registry.kill_supervisor()
            await soak.registry.start_again()
        else:
            await soak.registry.kill(title, soak.chance.choice)
        soak.kills[title] += 1


async def _sample(soak: _Soak) -> None:
    while not soak.is_over:
        larder = soak.registry.larder
        with suppress(OSError):  # It died while it was looked at.
            for title in (_SUPERVISOR, API, WORKER):
                for oldest in larder.pids(title)[:1]:
                    soak.samples.take(title, oldest, counts=soak.spares_the_old)
        await pause(_SAMPLE_EVERY_SECONDS)
