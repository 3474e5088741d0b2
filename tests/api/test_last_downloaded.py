"""When packages were last downloaded: noted beside the downloads, and seldom."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from shared.metadata.store import open_metadata_store
from shared.models import PackageFile, PackageId
from shared.settings import Settings
from shared.usecases.note_downloads import GRAIN, NoteDownloads
from tests.api.published import CONTENT, package_of, publish
from tests.api.registry import Registry, running_registry
from tests.rows import count, nobody_writes
from tests.waiting import eventually

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def noted_at(registry: Registry, file: PackageFile) -> datetime | None:
    package = await package_of(registry, file)
    assert package is not None
    return package.last_downloaded_at


async def wait_until_noted(registry: Registry, file: PackageFile) -> datetime:
    async def at() -> datetime | None:
        return await noted_at(registry, file)

    found = await eventually(at, what="the download is noted", timeout_seconds=60)
    assert found is not None
    return found


def urls_of(registry: Registry, file: PackageFile) -> tuple[str, str]:
    by_id = f"/api/v4/projects/{file.project_id}/packages/{file.package_id}/package_files/{file.id}/download"
    return f"{registry.pypi}/files/{file.sha256}/{file.file_name}", by_id


async def test_what_is_sent_is_noted_and_what_is_not_sent_is_not(bare_registry: Registry) -> None:
    registry = bare_registry
    looked_at, fetched, by_number, in_part = [
        await publish(registry, version=str(number), file_name=f"pkg-{number}.tar.gz", content=b"%d" % number * 9)
        for number in range(4)
    ]
    began_at = datetime.now(UTC)
    for url in urls_of(registry, looked_at):
        assert (await registry.ask("HEAD", url)).status == 200
        assert (await registry.get(url, If_None_Match=f'"{looked_at.sha256}"')).status == 304
        assert (await registry.get(url, If_Match='"another"')).status == 412
        assert (await registry.get(url, Range="bytes=999-")).status == 416
    assert (await registry.get(f"{urls_of(registry, looked_at)[0]}.metadata")).status == 404
    assert (await registry.get(f"{registry.pypi}/simple/pkg/")).status == 200
    assert (await registry.get(urls_of(registry, fetched)[0])).status == 200
    assert (await registry.get(urls_of(registry, by_number)[1])).status == 200
    assert (await registry.get(urls_of(registry, in_part)[0], Range="bytes=0-3")).status == 206
    from_group = await publish(registry, (await registry.add_project("app")).id, content=b"another")
    group = "/api/v4/groups/team/-/packages/pypi"
    assert (await registry.get(f"{group}/files/{from_group.sha256}/{from_group.file_name}")).status == 200
    for file in (fetched, by_number, in_part, from_group):
        assert began_at <= await wait_until_noted(registry, file) <= datetime.now(UTC)
    assert await noted_at(registry, looked_at) is None
    answer = await registry.ask("PUT", f"/api/v4/projects/1/packages/{fetched.package_id}?status=default")
    at = await noted_at(registry, fetched)
    assert at is not None
    assert answer.json["last_downloaded_at"] == at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_a_stop_writes_down_what_is_remembered(settings: Settings) -> None:
    async with running_registry(settings) as registry:
        # The first is written at once; those after it are gathered.
        files = [
            await publish(registry, version=str(number), file_name=f"pkg-{number}.tar.gz", content=b"%d" % number)
            for number in range(3)
        ]
        for file in files:
            assert (await registry.get(urls_of(registry, file)[0])).status == 200
    assert await count(settings.database_url, "packages", where="last_downloaded_at IS NOT NULL") == len(files)


async def test_a_database_that_takes_no_writes_neither_slows_nor_fails_a_download(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    url = urls_of(bare_registry, file)[0]
    assert (await bare_registry.ask("HEAD", url)).status == 200  # The use of the token is noted with this.
    async with nobody_writes(bare_registry.settings.database_url), asyncio.timeout(9):  # A writer waits ten.
        for _ in range(20):
            answer = await bare_registry.get(url)
            assert (answer.status, answer.body) == (200, CONTENT)
    await wait_until_noted(bare_registry, file)


@dataclass
class Clock:
    """A clock that a test sets."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at


async def send(process: NoteDownloads, *files: PackageFile, times: int = 1) -> None:
    """Note downloads in one process, and have them written."""
    for file in files * times:
        process(file.package_id)
    async with process.writing():
        pass


async def count_of_writes(registry: Registry) -> int:
    return await count(registry.settings.database_url, "written")


@pytest.fixture
async def watched(bare_registry: Registry) -> Registry:
    """A registry whose database counts how often a time of download is written."""
    await bare_registry.rows("CREATE TABLE written (package_id INTEGER)")
    await bare_registry.rows(
        "CREATE TRIGGER watch AFTER UPDATE OF last_downloaded_at ON packages"
        " BEGIN INSERT INTO written VALUES (new.id); END"
    )
    return bare_registry


@pytest.mark.embedded("a trigger of SQLite counts the writes")
async def test_many_downloads_of_a_package_make_one_write_a_minute_whoever_sends_it(watched: Registry) -> None:
    file, other = [await publish(watched, version=str(number)) for number in range(2)]
    clock = Clock()
    one, two = (NoteDownloads(watched.backends.store, now=clock) for _ in range(2))

    await send(one, file, times=100)
    await send(two, file, times=100)
    assert (await count_of_writes(watched), await noted_at(watched, file)) == (1, NOON)

    clock.at = NOON + GRAIN - timedelta(seconds=1)
    await send(one, file)
    await send(two, file, other)
    assert (await count_of_writes(watched), await noted_at(watched, file)) == (2, NOON)
    assert await noted_at(watched, other) == clock.at

    clock.at = NOON + GRAIN
    await send(one, file, times=3)
    await send(two, file, times=3)
    assert (await count_of_writes(watched), await noted_at(watched, file)) == (3, NOON + GRAIN)


@pytest.mark.embedded("a trigger of SQLite counts the writes")
async def test_what_cannot_be_written_now_is_written_later(watched: Registry) -> None:
    files = [await publish(watched, version=str(number)) for number in range(3)]
    async with open_metadata_store(watched.settings.database_url, wait_seconds=1) as impatient:
        process = NoteDownloads(impatient, now=Clock())
        async with nobody_writes(watched.settings.database_url):
            await send(process, *files)  # It gives up in the end, without an error.
        assert await count_of_writes(watched) == 0
        process(PackageId(999_999))
        await send(process)
    assert [await noted_at(watched, file) for file in files] == [NOON] * 3
