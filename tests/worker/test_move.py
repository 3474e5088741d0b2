"""A registry that is moved, over all engines and stores: what arrives, and what stays behind."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.backends import open_blobs, open_store
from shared.models import PackageFile
from shared.settings import Settings, read_settings
from shared.usecases.blob_store_name import BlobStoreForeign, check_blob_store, require_own_blob_store
from tests.backends import PostgresqlServer, postgresql_server
from tests.registry_contents import Rows, blobs_in_bucket, blobs_on_disk, but_for_moves, moves_in
from tests.rows import everything
from tests.s3_server import S3Server, s3_credentials, s3_server
from tests.worker.conftest import opened_registry
from tests.worker.moving import FILES, elsewhere, findings, move, names_of, published, root_of, settings
from tests.worker.upkeep import publish

pytestmark = pytest.mark.embedded("says itself what it moves between")

__all__ = ["postgresql_server", "published", "s3_credentials", "s3_server", "settings"]  # fixtures

Blobs = dict[str, str]


def but_for_doomed(blobs: Blobs, rows: Rows) -> Blobs:
    """Return the blobs without those of files that are deleted."""
    doomed = {row["blob_key"] for row in rows["package_files"] if row["status"] == "pending_destruction"}
    assert len(doomed) == 1
    return {key: digest for key, digest in blobs.items() if key not in doomed}


async def test_a_registry_arrives_as_it_was_and_stays_behind_as_it_was(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new")
    rows, blobs = await everything(settings.database_url), blobs_on_disk(root_of(settings))

    moved = await move(settings, target)

    assert moved.files is not None
    assert (moved.files.files, moved.lost, moved.is_over) == (FILES, (), False)
    arrived = await everything(target.database_url)
    assert but_for_moves(arrived) == but_for_moves(rows)
    assert moves_in(arrived) == 1
    assert blobs_on_disk(root_of(target)) == but_for_doomed(blobs, rows)
    assert await findings(target) == []
    assert (await everything(settings.database_url), blobs_on_disk(root_of(settings))) == (rows, blobs)
    assert {path.name for path in settings.data_dir.iterdir()} == {"blobs", "larder.sqlite3"}


@pytest.mark.slow
async def test_what_was_moved_goes_on_and_is_not_moved_again(settings: Settings, published: list[PackageFile]) -> None:
    target = elsewhere(settings, "new")
    await move(settings, target)
    before = await everything(target.database_url)

    assert (await move(settings, target)).is_over

    assert await everything(target.database_url) == before
    moved_on = replace(target, data_dir=settings.data_dir.parent / "new")
    async with opened_registry(moved_on) as registry:
        (later,) = await publish(registry, 7)
        await require_own_blob_store(registry.backends.store, registry.backends.blobs)
    assert later.id == max(row["id"] for row in before["package_files"]) + 1
    assert await findings(moved_on) == []


@pytest.fixture
def servers(
    settings: Settings, postgresql_server: PostgresqlServer, s3_server: S3Server, s3_credentials: object
) -> Iterator[Settings]:
    """Give the settings of a registry whose rows are in PostgreSQL and whose files are in S3."""
    name = postgresql_server.create_database()
    yield replace(
        settings,
        database_url=postgresql_server.url(name),
        blob_url=s3_server.blob_url(s3_server.new_prefix()),
    )
    postgresql_server.drop_database(name)


def _blobs(settings: Settings, server: S3Server) -> Blobs:
    if settings.blob_url.startswith("file:"):
        return blobs_on_disk(root_of(settings))
    return blobs_in_bucket(server, settings.blob_url.removeprefix("s3://").partition("/")[2].partition("?")[0])


def _everything(here: Settings, servers: Settings) -> Settings:
    return servers


def _rows(here: Settings, servers: Settings) -> Settings:
    return replace(here, database_url=servers.database_url)


def _files(here: Settings, servers: Settings) -> Settings:
    return replace(here, blob_url=servers.blob_url)


@pytest.mark.slow
@pytest.mark.parametrize("part", [_everything, _rows, _files])
async def test_a_registry_goes_to_servers_and_comes_back(
    settings: Settings,
    published: list[PackageFile],
    servers: Settings,
    s3_server: S3Server,
    part: Callable[[Settings, Settings], Settings],
) -> None:
    there = part(settings, servers)
    moves_files, moves_rows = part is not _rows, part is not _files
    back = elsewhere(settings, "back", rows=moves_rows, files=moves_files)
    rows, blobs = await everything(settings.database_url), blobs_on_disk(root_of(settings))

    await move(settings, there)

    arrived = await everything(there.database_url)
    assert but_for_moves(arrived) == but_for_moves(rows)
    assert _blobs(there, s3_server) == (but_for_doomed(blobs, rows) if moves_files else blobs)
    assert await findings(there) == []
    first = await _publish_one_more(there)
    assert first == max(row["id"] for row in rows["package_files"]) + 1

    rows, blobs = await everything(there.database_url), _blobs(there, s3_server)
    await move(there, back)

    arrived = await everything(back.database_url)
    assert but_for_moves(arrived) == but_for_moves(rows)
    assert moves_in(arrived) == 2
    assert _blobs(back, s3_server) == (but_for_doomed(blobs, rows) if moves_files else blobs)
    assert await findings(back) == []
    assert await _publish_one_more(back) == first + 1


async def _publish_one_more(settings: Settings) -> int:
    """Publish a file as a registry there does, and return its id."""
    async with opened_registry(settings) as registry:
        before = {row["id"] for row in (await everything(settings.database_url))["package_files"]}
        await registry.upload(b"one more", file_name=f"pkg-3.{len(before)}.tar.gz", version=f"3.{len(before)}")
        after = {row["id"] for row in (await everything(settings.database_url))["package_files"]}
    (added,) = after - before
    return int(added)


@pytest.mark.slow
async def test_what_was_left_behind_does_not_take_the_files_for_its_own(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new", files=False)

    await move(settings, target)

    async with open_store(settings) as left, open_store(target) as moved, open_blobs(settings) as blobs:
        with pytest.raises(BlobStoreForeign):  # Else its sweep would remove what comes from now on.
            await check_blob_store(left, blobs)
        assert await check_blob_store(moved, blobs)


@pytest.mark.slow
async def test_files_that_were_left_behind_are_not_taken_for_those_of_the_rows(
    settings: Settings, published: list[PackageFile]
) -> None:
    target = elsewhere(settings, "new", rows=False)

    await move(settings, target)

    assert names_of(settings) != names_of(target)
    async with open_store(settings) as rows, open_blobs(settings) as left, open_blobs(target) as blobs:
        with pytest.raises(BlobStoreForeign):
            await check_blob_store(rows, left)
        assert await check_blob_store(rows, blobs)
    assert await findings(target) == []
    assert (await move(settings, target)).is_over


@pytest.mark.slow
async def test_a_registry_that_has_never_been_started_can_be_moved(settings: Settings, tmp_path: Path) -> None:
    settings.data_dir.mkdir()
    async with opened_registry(settings):
        pass
    target = elsewhere(settings, "new")

    await move(settings, target)

    at_home = read_settings({"LARDER_DATA_DIR": str(tmp_path / "new"), "LARDER_REDIS_URL": str(settings.redis_url)})
    assert await findings(at_home) == []
    async with open_store(at_home) as store, open_blobs(at_home) as blobs:
        assert await check_blob_store(store, blobs)
