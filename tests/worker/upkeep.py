"""What tests of scrub, check and backup share: published files, and ways to damage them."""

from datetime import timedelta
from pathlib import Path

from shared.errors import BlobStoreUnavailable
from shared.models import PackageFile, PackageFileId
from shared.usecases.scrub import Scrub
from tests import rows
from tests.distributions import build_wheel
from tests.worker.conftest import Registry

LONG_AGO = "2026-01-01T00:00:00.000000Z"
FAST = 1024**3


def wheel_name(number: int) -> str:
    return f"pkg-1.{number}-py3-none-any.whl"


async def publish(registry: Registry, *numbers: int) -> list[PackageFile]:
    """Publish a version of `pkg` for each number; all files were verified long ago."""
    published = []
    for number in numbers:
        content = build_wheel("pkg", f"1.{number}")
        await registry.upload(content, file_name=wheel_name(number), version=f"1.{number}")
        file_id = PackageFileId(await registry.count("package_files"))
        await registry.process()(file_id, 1)
        await execute(registry, f"UPDATE package_files SET verified_at = '{LONG_AGO}' WHERE id = {file_id}")  # noqa: S608
        published.append(await file_as_it_is(registry, file_id))
    return published


async def file_as_it_is(registry: Registry, file_id: int) -> PackageFile:
    found = await registry.file(file_id)
    assert found is not None
    return found


def take_the_disk_away(registry: Registry) -> None:
    """Leave what lies under a mount point: an empty directory."""
    for entry in (registry.settings.data_dir / "blobs").iterdir():
        entry.rename(registry.settings.data_dir / entry.name)


async def execute(registry: Registry, statement: str) -> None:
    """Change rows behind the registry's back."""
    await rows.execute(registry.settings.database_url, statement)


async def audited(registry: Registry, action: str) -> list[str]:
    """Return the targets of the audit events of this kind, oldest first."""
    events = "SELECT target FROM audit_events WHERE action = :action ORDER BY id"
    return [target for (target,) in await rows.execute(registry.settings.database_url, events, action=action)]


def blob_of(registry: Registry, file: PackageFile) -> Path:
    return registry.settings.data_dir / "blobs" / file.blob_key


def rot(registry: Registry, file: PackageFile) -> None:
    """Change one bit of a blob, so that its length stays."""
    path = blob_of(registry, file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def scrub_of(registry: Registry, *, blobs: object = None) -> Scrub:
    return Scrub(
        store=registry.backends.store,
        blobs=blobs or registry.backends.blobs,  # type: ignore[arg-type]  # a double of the port
        bytes_per_second=FAST,
        interval=timedelta(days=30),
        second_look_seconds=0,
    )


class Faulty:
    """A blob store whose disk fails to read some blobs, and is else the real one."""

    def __init__(self, blobs: object, *unreadable: str) -> None:
        self._blobs = blobs
        self._unreadable = unreadable

    def __getattr__(self, name: str) -> object:
        return getattr(self._blobs, name)

    async def read(self, key: str, **options: int) -> object:
        if key in self._unreadable:
            raise BlobStoreUnavailable("Input/output error")
        async for chunk in self._blobs.read(key, **options):  # type: ignore[attr-defined]
            yield chunk
