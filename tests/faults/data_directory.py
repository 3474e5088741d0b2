"""What a registry has: rows, blobs and other files, read beside it while it runs, without writing."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.backends import open_blobs, open_store
from shared.metadata.engine import sqlite_path
from shared.settings import Settings
from shared.usecases.sweep import SweepOrphans
from tests.backends import run_apart
from tests.engines import engines_of, is_key
from tests.rows import execute
from tests.s3_server import S3Place

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
    "scratch",
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
    """0 or 1, as SQLite has it; PostgreSQL has a bool."""

    @property
    def is_shown(self) -> bool:
        """Say whether installers see it."""
        return self.status == "default" and self.package_status in INSTALLABLE


@dataclass(frozen=True, slots=True)
class Blob:
    """One finished file in the blob store."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The data directory of a `larder serve`, and the database and bucket that belong to it on other engines."""

    path: Path

    @property
    def database(self) -> Path:
        """Return where the rows are, on SQLite."""
        return self.path / "larder.sqlite3"

    @property
    def blob_root(self) -> Path:
        """Return where the blobs are, on disk."""
        return self.path / "blobs"

    @property
    def settings(self) -> Settings:
        """Return what the registry was told of its engines."""
        return engines_of(self.path)

    def file_rows(self) -> list[FileRow]:
        """Return all rows of files, oldest first."""
        rows = self._rows(
            "SELECT f.id, p.normalized_name, p.version, p.id, p.status, f.file_name, f.blob_key, f.sha256,"
            " f.status, f.yanked_at IS NOT NULL OR p.yanked_at IS NOT NULL"
            " FROM package_files f JOIN packages p ON p.id = f.package_id ORDER BY f.id"
        )
        return [FileRow(*values) for values in rows]

    def packages(self) -> list[tuple[str, str, str]]:
        """Return name, version and status of each package, oldest first."""
        rows = self._rows("SELECT normalized_name, version, status FROM packages ORDER BY id")
        return [(name, version, status) for name, version, status in rows]

    def count_waiting(self) -> int:
        """Return how many files and packages are in a status that must pass."""
        ((waiting,),) = self._rows(
            "SELECT (SELECT count(*) FROM package_files WHERE status IN ('processing', 'pending_destruction'))"
            " + (SELECT count(*) FROM packages WHERE status = 'pending_destruction')"
        )
        return int(waiting)

    def project_counter(self, project_id: int) -> int:
        """Return how often the packages of a project have changed."""
        rows = self._rows("SELECT value FROM change_counters WHERE scope = 'project' AND id = :id", id=project_id)
        return int(rows[0][0]) if rows else 0

    def miscounts(self) -> list[str]:
        """Return which projects are said to hold more or less than their files do together."""
        held = self._rows(
            "SELECT project_id, sum(size_bytes) FROM package_files WHERE status != 'pending_destruction'"
            " GROUP BY project_id"
        )
        counted = self._rows("SELECT project_id, bytes FROM project_storage WHERE bytes != 0")
        return [f"project {project_id} with {size} bytes" for project_id, size in sorted(set(held) ^ set(counted))]

    def broken_references(self) -> list[str]:
        """Return what SQLite itself finds wrong, in its words; PostgreSQL lets no reference break."""
        if self._sqlite is None:
            return []
        found = [str(row) for row in self._rows("PRAGMA foreign_key_check")]
        return found + [row[0] for row in self._rows("PRAGMA quick_check") if row[0] != "ok"]

    def blobs(self) -> list[Blob]:
        """Return all finished blobs, with the digest of what is in them now."""
        if self._is_on_disk:
            return [Blob(key, _digest(self.blob_root / key)) for key in self._blob_files() if is_key(key)]
        bucket = S3Place.of(self.settings.blob_url)
        return [Blob(key, hashlib.sha256(bucket.read(key)).hexdigest()) for key in bucket.names() if is_key(key)]

    def leftovers(self) -> list[str]:
        """Return the paths of files that are neither blobs nor known: what a writer or a worker has left lying."""
        others = sorted(entry.name for entry in self.path.iterdir() if entry.name not in _KNOWN)
        others += sorted(f"scratch/{copy.name}" for copy in (self.path / "scratch").glob("*"))
        if self._is_on_disk:
            return [f"blobs/{key}" for key in self._blob_files() if not is_key(key)] + others
        bucket = S3Place.of(self.settings.blob_url)
        return [f"an upload of {key}" for key in bucket.uploads()] + others

    async def sweep_orphans(self) -> int:
        """Run the orphan sweep as if its grace were over for everything; return how many files it removed."""
        async with open_store(self.settings) as store, open_blobs(self.settings) as blobs:
            return await SweepOrphans(store=store, blobs=blobs, upload_max_seconds=_GRACE_THAT_IS_OVER_SECONDS)()

    @property
    def _sqlite(self) -> Path | None:
        return sqlite_path(self.settings.database_url)

    @property
    def _is_on_disk(self) -> bool:
        return self.settings.blob_url.startswith("file:")

    def _blob_files(self) -> list[str]:
        return sorted(str(path.relative_to(self.blob_root)) for path in self.blob_root.rglob("*") if path.is_file())

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        path = self._sqlite
        if path is None:
            return run_apart(execute(self.settings.database_url, statement, **values))
        # Read-only, so that it moves nothing from the log into the database when the registry is gone.
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(statement, values).fetchall()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            yield chunk
