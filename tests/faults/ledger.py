"""What clients were told, noted while they were told it; `checker.py` compares it afterwards with what is there.

Each file name belongs to one client, which does one thing after another to it. So the ledger knows what may stand under
the name: one thing after an answer, one of several while there is none.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Upload:
    """One file that a client sends, until it gets a final answer."""

    name: str
    version: str
    file_name: str
    content: bytes = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """Return the digest of the content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(slots=True)
class Fate:
    """What may have become of one file name.

    Args:
        possible: digests of what may be published under it; None among them: perhaps nothing is.
        yanked: whether it may be yanked, and whether it may not be.
    """

    name: str
    version: str
    possible: set[str | None] = field(default_factory=lambda: {None})
    yanked: set[bool] = field(default_factory=lambda: {False})

    @property
    def must_be_there(self) -> bool:
        """Say whether its loss would be a broken promise."""
        return None not in self.possible


@dataclass(slots=True)
class Ledger:
    """Everything that clients were told.

    Args:
        fates: by file name.
        acknowledged: how many changes were answered with 2xx.
        accepted: the file names of uploads that were answered with 202.
        refused: file name -> the reason of the last 4xx that its upload got.
        cut: digest -> how many uploads of it got no final answer: so many blobs of it may be without a row until the
            orphan sweep has come by.
        wrong: what a client saw that must not be, in words.
    """

    fates: dict[str, Fate] = field(default_factory=dict)
    acknowledged: int = 0
    accepted: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    cut: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def promised(self) -> list[str]:
        """Return the names of the files that must be there."""
        return sorted(file_name for file_name, fate in self.fates.items() if fate.must_be_there)

    def sends(self, upload: Upload) -> None:
        """Note that an upload begins."""
        fate = self.fates.setdefault(upload.file_name, Fate(upload.name, upload.version))
        fate.possible.add(upload.sha256)
        if fate.possible == {upload.sha256, None}:
            fate.yanked.add(False)

    def published(self, upload: Upload, *, is_accepted: bool = False) -> None:
        """Note a 201, or a 202."""
        self.acknowledged += 1
        self.fates[upload.file_name].possible = {upload.sha256}
        if is_accepted:
            self.accepted.add(upload.file_name)

    def was_refused(self, upload: Upload, reason: str) -> None:
        """Note a 4xx: nothing of it may remain."""
        self.refused[upload.file_name] = reason
        self.fates[upload.file_name].possible.discard(upload.sha256)

    def will_be_refused(self, upload: Upload) -> None:
        """Note a 202 for a file that the worker must refuse: its row stays, with the reason, and is shown to nobody."""
        self.acknowledged += 1
        self.accepted.add(upload.file_name)
        self.fates[upload.file_name].possible.discard(upload.sha256)

    def was_cut(self, upload: Upload) -> None:
        """Note that an upload got no final answer: the connection broke, or a 5xx came."""
        self.cut[upload.sha256] += 1

    def deletes(self, file_names: Iterable[str]) -> None:
        """Note that a delete begins: from now on nobody may count on these files."""
        for file_name in file_names:
            self.fates[file_name].possible.add(None)

    def deleted(self, file_names: Iterable[str]) -> None:
        """Note a 204."""
        self.acknowledged += 1
        for file_name in file_names:
            fate = self.fates[file_name]
            fate.possible, fate.yanked = {None}, {False}

    def yanks(self, file_name: str, *, to: bool) -> None:
        """Note that a yank, or its taking back, begins."""
        self.fates[file_name].yanked.add(to)

    def yanked(self, file_name: str, *, to: bool) -> None:
        """Note that it was answered with 2xx."""
        self.acknowledged += 1
        self.fates[file_name].yanked = {to}

    def may_be_gone(self, file_name: str, sha256: str) -> bool:
        """Say whether a reader who does not get these bytes behind this name saw nothing wrong."""
        fate = self.fates.get(file_name)
        return fate is None or fate.possible != {sha256}
