"""What lies in a data directory: rows, blobs and other files, read beside a registry that runs, without writing."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shared.blob_keys import check_blob_key
from shared.blobs.local import open_local_blob_store
from shared.metadata.store import open_metadata_store
from shared.usecases.sweep import SweepOrphans

INSTALLABLE = ("default", "hidden", "deprecated")
_KNOWN = {
    "larder.sqlite3",
    "larder.sqlite3-wal",
    "larder.sqlite3-shm",
    "larder.lock",
    "root-token",
    "blobs",
    "redis",
    "metrics",
}
_GRACE_THAT_IS_OVER_SECONDS = -2 * 24 * 3600.0
"""As the longest upload: with it the orphan sweep looks at today's blobs as well."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of `package_files`, and what its package says of it."""

    id: int
    name: str
    version: str
    package_id: int
    package_status: str
    file_name: str
    blob_key: str
    sha256: str
    status: str
    is_yanked: int
    """0 or 1, as SQLite has it."""

    @property
    def is_shown(self) -> bool:
        """Say whether installers see it."""
        return self.status == "default" and self.package_status in INSTALLABLE


@dataclass(frozen=True, slots=True)
class Blob:
    """One finished file in the blob directory."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The data directory of a `larder serve` on SQLite."""

    path: Path

    @property
    def database(self) -> Path:
        """Return where the rows are."""
        return self.path / "larder.sqlite3"

    @property
    def blob_root(self) -> Path:
        """Return where the blobs are."""
        return self.path / "blobs"

    def file_rows(self) -> list[FileRow]:
        """Return all rows of files, oldest first."""
        with self._connected() as database:
            rows = database.execute(
                "SELECT f.id, p.normalized_name, p.version, p.id, p.status, f.file_name, f.blob_key, f.sha256,"
                " f.status, f.yanked_at IS NOT NULL OR p.yanked_at IS NOT NULL"
                " FROM package_files f JOIN packages p ON p.id = f.package_id ORDER BY f.id"
            ).fetchall()
        return [FileRow(*values) for values in rows]

    def packages(self) -> list[tuple[str, str, str]]:
        """Return name, version and status of each package, oldest first."""
        with self._connected() as database:
            return database.execute("SELECT normalized_name, version, status FROM packages ORDER BY id").fetchall()

    def count_waiting(self) -> int:
        """Return how many files and packages are in a status that must pass."""
        with self._connected() as database:
            (files,) = database.execute(
                "SELECT count(*) FROM package_files WHERE status IN ('processing', 'pending_destruction')"
            ).fetchone()
            (packages,) = database.execute(
                "SELECT count(*) FROM packages WHERE status = 'pending_destruction'"
            ).fetchone()
        return int(files + packages)

    def project_counter(self, project_id: int) -> int:
        """Return how often the packages of a project have changed."""
        with self._connected() as database:
            row = database.execute(
                "SELECT value FROM change_counters WHERE scope = 'project' AND id = ?", [project_id]
            ).fetchone()
        return int(row[0]) if row else 0

    def miscounts(self) -> list[str]:
        """Return which projects are said to hold more or less than their files do together."""
        with self._connected() as database:
            held = database.execute(
                "SELECT project_id, sum(size_bytes) FROM package_files WHERE status != 'pending_destruction'"
                " GROUP BY project_id"
            ).fetchall()
            counted = database.execute("SELECT project_id, bytes FROM project_storage WHERE bytes != 0").fetchall()
        return [f"project {project_id} with {size} bytes" for project_id, size in sorted(set(held) ^ set(counted))]

    def broken_references(self) -> list[str]:
        """Return what SQLite itself finds wrong, in its words."""
        with self._connected() as database:
            found = [str(row) for row in database.execute("PRAGMA foreign_key_check")]
            found += [row[0] for row in database.execute("PRAGMA quick_check") if row[0] != "ok"]
        return found

    def blobs(self) -> list[Blob]:
        """Return all finished blobs, with the digest of what is in them now."""
        return [Blob(key, _digest(self.blob_root / key)) for key in self._blob_files() if _is_key(key)]

    def leftovers(self) -> list[str]:
        """Return the paths of files that are neither blobs nor known: what a writer or a worker has left lying."""
        in_blobs = [f"blobs/{key}" for key in self._blob_files() if not _is_key(key)]
        return in_blobs + sorted(entry.name for entry in self.path.iterdir() if entry.name not in _KNOWN)

    async def sweep_orphans(self) -> int:
        """Run the orphan sweep as if its grace were over for everything; return how many files it removed."""
        async with (
            open_metadata_store(f"sqlite:///{self.database}") as store,
            open_local_blob_store(self.blob_root) as blobs,
        ):
            return await SweepOrphans(store=store, blobs=blobs, upload_max_seconds=_GRACE_THAT_IS_OVER_SECONDS)()

    def _blob_files(self) -> list[str]:
        return sorted(str(path.relative_to(self.blob_root)) for path in self.blob_root.rglob("*") if path.is_file())

    def _connected(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30))


def _is_key(path: str) -> bool:
    try:
        check_blob_key(path)
    except ValueError:
        return False
    return True


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            yield chunk
