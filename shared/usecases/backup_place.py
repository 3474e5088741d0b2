"""What a backup is on the disk: a directory that is there whole or not at all. Everything here blocks.

manifest.json      what it is, and the digest of the database
larder.sqlite3     all rows as of one instant, whatever engine they came from
blobs/             their bytes, under the same keys
root-token         the administrator's token, where the data directory kept it
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.errors import OperatorError

FORMAT = 1
DATABASE = "larder.sqlite3"
BLOBS = "blobs"
ROOT_TOKEN = "root-token"  # noqa: S105 - the name of a file
_MANIFEST = "manifest.json"
_CHUNK_BYTES = 1024 * 1024


class BackupRefused(OperatorError):
    """A backup cannot be written or restored there, or is none."""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A file that was damaged or gone already when it was to be copied."""

    file_id: int
    file_name: str
    blob_key: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself.

    Args:
        format: of the backup as such.
        version: of the Larder that wrote it.
        schema: of its database.
        created_at: when its snapshot was taken, ISO 8601 in UTC.
        files: how many blobs are in it.
        size_bytes: how many bytes those have.
        database_sha256: of `larder.sqlite3`, whose rows hold the digests of the blobs.
        incomplete: files that their registry had lost before.
    """

    format: int
    version: str
    schema: str
    created_at: str
    files: int
    size_bytes: int
    database_sha256: str
    incomplete: tuple[Incomplete, ...]


@contextmanager
def new_place(place: Path) -> Iterator[Path]:
    """Give a directory to fill, which `publish` makes the backup; gone when the block ends without that.

    What a killed backup has left there is removed first.

    Raises:
        BackupRefused: there is something already, or another backup is being written there.
    """
    if place.is_symlink() or (place.exists() and not (place.is_dir() and not any(place.iterdir()))):
        raise BackupRefused(f"{place} is there already: name a directory that is not")
    part = place.with_name(f".{place.name}.part")
    try:
        part.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BackupRefused(f"nothing can be written beside {place}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupRefused(f"another backup is being written to {place}") from error
        clear(part)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)  # `publish` has given it another name.
    finally:
        os.close(descriptor)


def publish(part: Path, place: Path, manifest: Manifest) -> None:
    """Make a filled directory the backup: durable, whole, and at once.

    Raises:
        BackupRefused: something has come there meanwhile.
        OSError: as the system says.
    """
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n"
    write_durably(part / _MANIFEST, text.encode())
    sync_directory(part)
    try:
        part.rename(place)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise BackupRefused(f"something has come to {place} meanwhile") from error
        raise
    sync_directory(place.parent)


def read_manifest(place: Path) -> Manifest:
    """Return what a backup says of itself.

    Raises:
        BackupRefused: it is none, or of a format that this version does not know.
    """
    try:
        told = json.loads((place / _MANIFEST).read_bytes())
        if told["format"] != FORMAT:
            raise BackupRefused(f"{place} is a backup of format {told['format']}, and this version knows {FORMAT}")
        incomplete = tuple(Incomplete(**one) for one in told.pop("incomplete"))
        return Manifest(**told, incomplete=incomplete)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackupRefused(f"{place} is no backup, or not a whole one: its {_MANIFEST} cannot be read") from error


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_file(source: Path, target: Path) -> str:
    """Copy a file durably, readable by its owner alone; return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, os.fdopen(_create(target), "wb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file, readable by its owner alone."""
    with os.fdopen(_create(path), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear(directory: Path, *, keep: frozenset[str] = frozenset()) -> None:
    """Remove what is in a directory, but for these names."""
    for entry in directory.iterdir():
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
