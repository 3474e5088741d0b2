"""What clients were told, and the check that compares it with what is there."""

import asyncio
import hashlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from tests.registry_client import RegistryClient
from tests.waiting import eventually


@dataclass(frozen=True, slots=True)
class Sent:
    """One file that a client sent until it got a final answer."""

    name: str
    version: str
    file_name: str
    content: bytes


@dataclass(slots=True)
class Ledger:
    """Everything that clients were told.

    Args:
        promised: files that were answered with 2xx, by file name.
        accepted: the names of those that were answered with 202.
        refused: file names that were answered with 4xx, with the reason.
    """

    promised: dict[str, Sent] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Findings:
    """Where the registry differs from the ledger; all empty when it keeps its promises."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    rows_without_blob: list[str] = field(default_factory=list)
    part_files: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Say whether anything was found."""
        return any(getattr(self, name) for name in self.__slots__)


async def wait_until_processed(database: Path, *, timeout_seconds: float) -> None:
    """Return when no file is in `processing` or `pending_destruction` any more."""

    async def nothing_waits() -> bool:
        return await asyncio.to_thread(_count_waiting, database) == 0

    await eventually(nothing_waits, what="every file is processed or gone", timeout_seconds=timeout_seconds)


async def compare(ledger: Ledger, client: RegistryClient, *, database: Path, blobs: Path) -> Findings:
    """Look up every promise through the API, then walk rows and blobs."""
    findings = Findings()
    by_name: dict[str, list[Sent]] = {}
    for sent in ledger.promised.values():
        by_name.setdefault(sent.name, []).append(sent)
    for name, expected in by_name.items():
        await _compare_page(findings, client, name, expected)
    findings.unexpected += [name for name in await client.names() if name not in by_name]
    rows = await asyncio.to_thread(_rows, database)
    for blob_key, file_name, status in rows:
        if status == "processing":
            findings.unfinished.append(file_name)
        if not (blobs / blob_key).is_file():
            findings.rows_without_blob.append(f"{file_name} ({status})")
    findings.part_files += [str(path) for path in blobs.rglob("*") if path.is_file() and path.suffix == ".part"]
    return findings


async def _compare_page(findings: Findings, client: RegistryClient, name: str, expected: list[Sent]) -> None:
    page = await client.page(name)
    listed = [] if page is None else page["files"]
    links = {file["filename"]: file for file in listed}
    if len(links) != len(listed):
        findings.doubled.append(name)
    for sent in expected:
        link = links.pop(sent.file_name, None)
        if link is None:
            findings.lost.append(sent.file_name)
            continue
        content = await client.download(link["url"])
        if content != sent.content or link["hashes"]["sha256"] != hashlib.sha256(content).hexdigest():
            findings.damaged.append(sent.file_name)
    findings.unexpected += links


def _rows(database: Path) -> list[tuple[str, str, str]]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
        return connection.execute("SELECT blob_key, file_name, status FROM package_files").fetchall()


def _count_waiting(database: Path) -> int:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM package_files WHERE status IN ('processing', 'pending_destruction')"
        ).fetchone()
        return int(count)
