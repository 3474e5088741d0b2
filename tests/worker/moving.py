"""What the tests of moves share: a registry that nobody has open, places that it can go to, and stores that fail."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from services.maintenance.move import move_between
from shared.backends import open_blobs, open_store
from shared.errors import StorageFull
from shared.models import PackageFile
from shared.ports.blob_store import BlobStore
from shared.settings import Settings, read_settings
from shared.usecases.blob_store_name import require_own_blob_store
from shared.usecases.check import CheckRegistry
from shared.usecases.destroy import DeletePackageFile
from shared.usecases.move import Move, Moved
from tests.redis_server import RedisServer
from tests.worker.conftest import opened_registry
from tests.worker.upkeep import Faulty, publish

FILES = 4
"""That the registry has, besides one that is deleted: three that are published, one that waits."""


@pytest.fixture
def settings(tmp_path: Path, redis_server: RedisServer) -> Settings:
    return read_settings({"LARDER_DATA_DIR": str(tmp_path / "var"), "LARDER_REDIS_URL": redis_server.url})


@pytest.fixture
async def published(settings: Settings) -> list[PackageFile]:
    """Fill the registry, and close it; return the files that are published."""
    settings.data_dir.mkdir()
    async with opened_registry(settings) as registry:
        files = await publish(registry, 0, 1, 2, 3)
        await registry.upload(b"whatever", file_name="pkg-2.0.tar.gz", version="2.0")
        delete = DeletePackageFile(registry.backends.store, registry.backends.queue)
        await delete(registry.visit, files[3].package_id, file_id=files[3].id)
        await require_own_blob_store(registry.backends.store, registry.backends.blobs)
    return files[:3]


def elsewhere(settings: Settings, name: str, *, rows: bool = True, files: bool = True) -> Settings:
    """Return the settings of a registry whose rows, or files, or both, are in a directory beside the first one's."""
    place = settings.data_dir.parent / name
    target = settings
    if rows:
        target = replace(target, database_url=f"sqlite:///{place}/larder.sqlite3")
    if files:
        target = replace(target, blob_url=f"file://{place}/blobs")
    return target


def move_of(source: Settings, target: Settings) -> Move:
    """Return the move from here to there."""
    return move_between(source, target, work=source.data_dir / "work")


async def move(source: Settings, target: Settings, *, leaves_lost: bool = False) -> Moved:
    """Move it."""
    return await carry_out(move_of(source, target), leaves_lost=leaves_lost)


async def carry_out(moving: Move, *, leaves_lost: bool = False) -> Moved:
    """Move it, and clear up as the command does."""
    try:
        return await moving(leaves_lost=leaves_lost, tell=lambda _: None)
    finally:
        for left in moving.work.parent.glob(f"{moving.work.name}*"):
            left.unlink()


async def findings(settings: Settings) -> list[object]:
    """Return what a full check finds."""
    async with open_store(settings) as store, open_blobs(settings) as blobs:
        checking = CheckRegistry(store=store, blobs=blobs, upload_max_seconds=3600, tell=lambda _: None)
        return list((await checking.by_content()).findings)


def root_of(settings: Settings) -> Path:
    """Return where the files are."""
    return Path(settings.blob_url.removeprefix("file://"))


def rows_file(settings: Settings) -> Path:
    """Return where the rows are."""
    return Path(settings.database_url.removeprefix("sqlite://"))


def names_of(settings: Settings) -> list[str]:
    """Return the names that a disk store bears."""
    return [path.name for path in root_of(settings).glob(".name-*")]


async def ready() -> bool:
    """Say that the place is there."""
    return True


class _Failing(Faulty):
    """A blob store that has room for so many blobs, and for so many names."""

    def __init__(self, blobs: object, room: dict[str, int]) -> None:
        super().__init__(blobs)
        self._room = room

    def create(self, key: str) -> object:
        self._take("blobs")
        return self._blobs.create(key)  # type: ignore[attr-defined]

    async def give_name(self, name: str) -> None:
        self._take("names")
        await self._blobs.give_name(name)  # type: ignore[attr-defined]

    def _take(self, what: str) -> None:
        self._room[what] = self._room.get(what, 100) - 1
        if self._room[what] < 0:
            raise StorageFull


def with_room(settings: Settings, **room: int) -> Callable[[], AbstractAsyncContextManager[BlobStore]]:
    """Return how to open a store that is full after so many `blobs`, or so many `names`, however often it is opened."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[BlobStore]:
        async with open_blobs(settings) as blobs:
            yield _Failing(blobs, room)  # type: ignore[misc]  # a double of the port

    return opened


def doubled(
    settings: Settings, double: Callable[[BlobStore], object]
) -> Callable[[], AbstractAsyncContextManager[BlobStore]]:
    """Return how to open a store of which this makes a double."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[BlobStore]:
        async with open_blobs(settings) as blobs:
            yield double(blobs)  # type: ignore[misc]  # a double of the port

    return opened
