"""The blob stores that run the contract: a new one joins with a subclass of `Premises` and a line in `PREMISES`."""

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from shared.blobs.local import open_local_blob_store
from shared.blobs.s3.location import parse_s3_url
from shared.blobs.s3.store import S3BlobStore, open_s3_blob_store
from shared.blobs.unfinished import NamelessFile, PartFile, Unfinished
from shared.ports.blob_store import BlobStore
from tests.s3_server import BUCKET, s3_client

MIB = 1024 * 1024


class Premises(ABC):
    """Where a store keeps its things, as somebody sees it who does not go through the store.

    Args:
        directory: the test's own.
    """

    left_by_a_killed_writer: int
    """How many pieces a process leaves that is killed in the middle of one blob."""
    peak_bytes: int
    """By how much a process may grow that writes or reads a large blob."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.expected: set[str] = set()
        """What may be there when the test is over."""

    @abstractmethod
    def open_store(self) -> AbstractAsyncContextManager[BlobStore]:
        """Open a store; several may be open at once."""

    @abstractmethod
    def pieces(self) -> set[str]:
        """Return the name of everything that is there, unfinished things too."""

    @abstractmethod
    def open_descriptors(self) -> list[str]:
        """Return what this process has open there, a store's own root excepted."""


class DiskPremises(Premises):
    """A directory in which writers fill files without names."""

    unfinished: type[Unfinished] = NamelessFile
    left_by_a_killed_writer = 0
    peak_bytes = 32 * MIB

    @property
    def root(self) -> Path:
        """Return the directory that the store is given."""
        return self.directory / "blobs"

    def open_store(self) -> AbstractAsyncContextManager[BlobStore]:
        return open_local_blob_store(self.root, unfinished=self.unfinished)

    def pieces(self) -> set[str]:
        found = (Path(where) / name for where, _, names in os.walk(self.root) for name in names)
        return {str(path.relative_to(self.root)) for path in found}

    def open_descriptors(self) -> list[str]:
        targets = []
        for descriptor in Path("/proc/self/fd").glob("*"):  # Empty where there is no /proc.
            with suppress(FileNotFoundError):  # The descriptor that lists the others is gone by now.
                targets.append(str(descriptor.readlink()))
        return [target for target in targets if target.startswith(f"{self.root}/")]


class PartFilePremises(DiskPremises):
    """A directory in which writers fill part files, as on file systems that know no others."""

    unfinished = PartFile
    left_by_a_killed_writer = 1


class S3Premises(Premises):
    """A prefix of a bucket, whose writers send parts.

    Args:
        directory: the test's own; the file `s3` in it says where the server is and which prefix is meant.
    """

    left_by_a_killed_writer = 1
    peak_bytes = 32 * MIB

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.location = parse_s3_url((directory / "s3").read_text(encoding="ascii"))
        self._stores: list[S3BlobStore] = []

    def open_store(self) -> AbstractAsyncContextManager[BlobStore]:
        return self._open()

    def pieces(self) -> set[str]:
        client, prefix = s3_client(self.location.endpoint_url or ""), self.location.prefix
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        objects = {entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", [])}
        uploads = client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", [])
        names = {name for name in objects if not name.startswith(".name-")}  # On a disk it is no file either.
        return names | {f"{entry['Key'].removeprefix(prefix)} in parts" for entry in uploads}

    def open_descriptors(self) -> list[str]:
        """Return the connections that somebody has taken and not given back."""
        taken = (connection for store in self._stores for connection in _taken_connections(store))
        return [str(connection) for connection in taken]

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[BlobStore]:
        async with open_s3_blob_store(self.location, part_bytes=5 * MIB) as store:
            self._stores.append(store)
            try:
                yield store
            finally:
                self._stores.remove(store)


def _taken_connections(store: S3BlobStore) -> list[object]:
    sessions = store._place.client._endpoint.http_session._sessions  # type: ignore[attr-defined]  # a look inside
    return [one for session in sessions.values() for one in session.connector._acquired]


PREMISES: dict[str, type[Premises]] = {
    "disk": DiskPremises,
    "disk-part-files": PartFilePremises,
    "s3": S3Premises,
}
