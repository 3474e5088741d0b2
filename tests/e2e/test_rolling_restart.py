"""Every process is replaced, twice, while clients publish and install through a Service: no request fails."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from tests.backends import PostgresqlServer
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.replicas import DRAIN_SECONDS, PROJECT_ID, TOKEN, Part, Replicas, Service, running_replicas
from tests.e2e.shell import run_in_shell
from tests.redis_server import RedisServer
from tests.registry_client import RegistryClient, open_client
from tests.s3_server import S3Server, s3_credentials
from tests.waiting import eventually

__all__ = ["s3_credentials"]  # a fixture of its own module

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

_APIS, _WORKERS, _TIMES = 3, 2, 2
_PUBLISHERS, _READERS = 2, 2
_PATIENCE_SECONDS = 120
_ALL = ("upload 201", "read whole", "twine published", "pip installed")
_NOISE_BYTES = 100 * 1024


@dataclass(slots=True)
class Diary:
    """What clients were told.

    Args:
        told: how often each of their requests came to which end.
        failures: what should not have been.
        published: file name -> digest, of what was told 201: whoever asks from then on must find it.
        promised: likewise, of what was told 202.
    """

    told: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    published: dict[str, str] = field(default_factory=dict)
    promised: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clients:
    """Work against the Service until they are told to stop, and never try a second time."""

    url: str
    directory: Path
    diary: Diary
    stop: asyncio.Event

    async def publish_on(self, number: int) -> None:
        """Upload one wheel after another."""
        async with self._connected() as client:
            for version in count(1):
                if self.stop.is_set():
                    return
                await self._noted("upload", self._upload(client, f"pkg{number}", f"1.{version}"))

    async def read_on(self, number: int) -> None:
        """Ask for pages and files of what was published."""
        chance = random.Random(number)
        async with self._connected() as client:
            while not self.stop.is_set():
                await self._noted("read", self._read(client, f"pkg{chance.randrange(_PUBLISHERS)}", chance))

    async def use_tools(self) -> None:
        """Publish with twine and install that with pip, each time in a process of its own."""
        for number in count(1):
            if self.stop.is_set():
                return
            await self._noted("twine", self._twine(f"2.{number}"))
            await self._noted("pip", self._pip(f"2.{number}"))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[RegistryClient]:
        async with open_client(self.url, TOKEN, PROJECT_ID) as client:
            client.session._retry_connection = False  # Else it would ask again by itself when it is cut off.
            yield client

    async def _noted(self, what: str, request: Awaitable[str]) -> None:
        try:
            self.diary.told[f"{what} {await request}"] += 1
        except (aiohttp.ClientError, OSError, AssertionError) as error:
            self.diary.failures.append(f"{what}: {error!r}")

    async def _upload(self, client: RegistryClient, name: str, version: str) -> str:
        noise = {f"{name}/noise": random.Random(version).randbytes(_NOISE_BYTES)}
        content, file_name = build_wheel(name, version, extra_files=noise), wheel_file_name(name, version)
        answer = await client.upload(content, file_name=file_name, name=name, version=version)
        assert answer.status in (201, 202), answer
        told = self.diary.published if answer.status == 201 else self.diary.promised
        told[file_name] = hashlib.sha256(content).hexdigest()
        return str(answer.status)

    async def _read(self, client: RegistryClient, name: str, chance: random.Random) -> str:
        expected = {file: digest for file, digest in self.diary.published.items() if file.startswith(f"{name}-")}
        page = await client.page(name)
        if page is None:
            assert not expected, f"{name} has no page, and {len(expected)} files"
            return "nothing yet"
        shown = {file["filename"]: file for file in page["files"]}
        assert expected.keys() <= shown.keys(), f"not shown: {sorted(expected.keys() - shown.keys())}"
        file = shown[chance.choice(sorted(shown))]
        content = await client.download(f"{self.url}/{file['url'].split('/', 3)[3]}")
        assert hashlib.sha256(content).hexdigest() == file["hashes"]["sha256"], file["filename"]
        return "whole"

    async def _twine(self, version: str) -> str:
        file_name, content = wheel_file_name("by-twine", version), build_wheel("by-twine", version)
        path = self.directory / file_name
        await asyncio.to_thread(path.write_bytes, content)
        done = await asyncio.to_thread(
            run_in_shell,
            f"twine upload --disable-progress-bar --repository-url {self._pypi} {file_name}",
            cwd=self.directory,
            TWINE_USERNAME="root",
            TWINE_PASSWORD=TOKEN,
        )
        told = done.stdout + done.stderr
        assert done.returncode == 0, told
        assert "etry" not in told, told
        self.diary.promised[file_name] = hashlib.sha256(content).hexdigest()
        return "published"

    async def _pip(self, version: str) -> str:
        index = f"http://root:{TOKEN}@{self._pypi.removeprefix('http://')}/simple/"
        options = f"-q --retries 0 --no-deps --no-cache-dir --no-input -d by-pip --index-url {index}"
        done = await asyncio.to_thread(run_in_shell, f"pip download {options} by-twine=={version}", cwd=self.directory)
        assert done.returncode == 0, done.stdout + done.stderr
        return "installed"

    @property
    def _pypi(self) -> str:
        return f"{self.url}/api/v4/projects/{PROJECT_ID}/packages/pypi"


async def test_every_process_is_replaced_twice_under_load_and_no_request_fails(
    tmp_path: Path,
    postgresql_server: PostgresqlServer,
    s3_server: S3Server,
    redis_server: RedisServer,
    s3_credentials: object,
) -> None:
    settings = {
        "DATABASE_URL": postgresql_server.setting(postgresql_server.create_database()),
        "BLOB_URL": s3_server.blob_url(s3_server.new_prefix()),
        "REDIS_URL": redis_server.url,
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    diary, stop = Diary(), asyncio.Event()
    async with (
        running_replicas(tmp_path, settings, apis=_APIS, workers=_WORKERS) as replicas,
        Service(replicas).listening() as service,
    ):
        first = list(replicas.parts)
        clients = Clients(service.url, tmp_path, diary, stop)
        async with asyncio.TaskGroup() as group:
            for number in range(_PUBLISHERS):
                group.create_task(clients.publish_on(number))
            for number in range(_READERS):
                group.create_task(clients.read_on(number))
            group.create_task(clients.use_tools())
            await eventually(lambda: _all_work(diary), what="all clients work", timeout_seconds=_PATIENCE_SECONDS)
            for _ in range(_TIMES):
                async with asyncio.TaskGroup() as rollout:
                    rollout.create_task(_replace_all(replicas, "worker", _no_need_to_wait))
                    rollout.create_task(_replace_all(replicas, "api", service.wait_for))
            stop.set()

        assert diary.failures == []
        assert min(diary.told[what] for what in _ALL) > 0
        await _all_is_there(replicas, diary)
    assert len(replicas.parts) == (1 + _TIMES) * len(first)
    replaced = [part for part in replicas.parts if part.command == "api"][: _APIS * _TIMES]
    assert not any(part.events("api.requests_cut_off") for part in replaced)


async def _replace_all(replicas: Replicas, command: str, wait_for: Callable[[Part], Awaitable[None]]) -> None:
    """Replace the processes of a kind one after another: another is in the rotation before one is told to end."""
    async with asyncio.TaskGroup() as endings:
        for part in replicas.apis if command == "api" else replicas.workers:
            await wait_for(await replicas.start(command))
            endings.create_task(_end(part))


async def _end(part: Part) -> None:
    assert await part.stop() == 0, part.log


async def _no_need_to_wait(_: Part) -> None:
    """Nobody connects to a worker."""


async def _all_work(diary: Diary) -> bool:
    assert not diary.failures, diary.failures
    return all(diary.told[what] for what in _ALL)


async def _all_is_there(replicas: Replicas, diary: Diary) -> None:
    """Return when each API process shows all that was published at once, and after a while all that was promised."""
    everything = diary.published | diary.promised
    names = {name.partition("-")[0].replace("_", "-") for name in everything}
    for part in replicas.apis:
        async with open_client(part.url, TOKEN, PROJECT_ID) as client:
            assert diary.published.items() <= (await _shown(client, names)).items()
            await eventually(
                partial(_shows, client, names, everything),
                what="what was promised is there, and nothing else",
                timeout_seconds=_PATIENCE_SECONDS,
            )


async def _shown(client: RegistryClient, names: set[str]) -> dict[str, str]:
    pages = [await client.page(name) for name in sorted(names)]
    return {file["filename"]: file["hashes"]["sha256"] for page in pages if page for file in page["files"]}


async def _shows(client: RegistryClient, names: set[str], expected: dict[str, str]) -> bool:
    return await _shown(client, names) == expected
