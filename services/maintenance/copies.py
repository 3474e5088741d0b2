"""`larder backup` and `larder restore`: put the use cases together, and tell what came of them."""

import os
import socket
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

from services.maintenance.progress import ProgressLine, human_size, run_to_its_end, tell_of_file
from services.standalone.data_dir import hold_data_dir
from shared.backends import open_blobs, open_blobs_in, open_existing_blobs, open_existing_store, open_store_in
from shared.ports.blob_store import BlobStore
from shared.settings import Settings
from shared.usecases.backup import Backup
from shared.usecases.backup_place import Manifest
from shared.usecases.blob_copies import Tell
from shared.usecases.restore import Restore, Restored
from shared.whole_databases import (
    load_snapshot,
    require_empty_database,
    schema_revision,
    settle_snapshot,
    take_snapshot,
)

_WHOLE = 0
_INCOMPLETE = 1


def back_up(settings: Settings, place: Path, *, version: str) -> int:
    """Make a backup, tell what is in it, and return the exit code: 1 when files had been lost before."""
    progress = ProgressLine("copied")
    try:
        manifest = run_to_its_end(_back_up(settings, place.absolute(), version, progress.tell))
    finally:
        progress.end()
    print(
        f"backed up to {place}: the database (schema {manifest.schema}) and {manifest.files} files, "
        f"{human_size(manifest.size_bytes)}"
    )
    for one in manifest.incomplete:
        tell_of_file("not in it", one.file_id, one.file_name, one.problem)
    return _INCOMPLETE if manifest.incomplete else _WHOLE


def restore(settings: Settings, place: Path) -> int:
    """Bring a backup back, tell what was in it, and return the exit code: 1 when files are missing from it."""
    progress = ProgressLine("restored")
    try:
        with hold_data_dir(settings.data_dir):
            restored = run_to_its_end(_restore(settings, place.absolute(), progress.tell))
    finally:
        progress.end()
    print(
        f"restored {place} of {restored.manifest.created_at}: the database and {restored.files} files, "
        f"{human_size(restored.size_bytes)}"
    )
    for lost in restored.lost:
        tell_of_file("in error", lost.file.id, lost.file.file_name, lost.problem)
    return _INCOMPLETE if restored.lost else _WHOLE


async def _back_up(settings: Settings, place: Path, version: str, tell: Tell) -> Manifest:
    async with open_existing_store(settings) as store, open_existing_blobs(settings) as blobs:
        backup = Backup(
            store=store,
            blobs=blobs,
            token_file=settings.root_token_file,
            holder=f"larder backup on {socket.gethostname()}, process {os.getpid()}",
            version=version,
            schema=schema_revision(),
            take_snapshot=partial(take_snapshot, settings),
            open_snapshot=open_store_in,
            open_copy=open_blobs_in,
        )
        return await backup(place, tell=tell)


async def _restore(settings: Settings, place: Path, tell: Tell) -> Restored:
    def open_store_of_blobs(root: Path | None) -> AbstractAsyncContextManager[BlobStore]:
        return open_blobs(settings) if root is None else open_blobs_in(root)

    return await Restore(
        data_dir=settings.data_dir,
        token_file=settings.root_token_file if settings.root_token is None else None,
        require_empty_database=partial(require_empty_database, settings),
        settle=settle_snapshot,
        load=partial(load_snapshot, settings),
        open_rows=open_store_in,
        open_blobs=open_store_of_blobs,
    )(place, tell=tell)
