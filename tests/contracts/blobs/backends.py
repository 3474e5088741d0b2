"""The blob stores that run the contract: a new one joins with a subclass of `Premises` and a line in `PREMISES`."""

import os
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

from shared.blobs.local import open_local_blob_store
from shared.blobs.unfinished import NamelessFile, PartFile, Unfinished
from shared.ports.blob_store import BlobStore


class Premises(ABC):
    """Where a store keeps its things, as somebody sees it who does not go through the store.

    Args:
        directory: the test's own.
    """

    left_by_a_killed_writer: int
    """How many pieces a process leaves that is killed in the middle of one blob."""

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


PREMISES: dict[str, type[Premises]] = {
    "disk": DiskPremises,
    "disk-part-files": PartFilePremises,
}
