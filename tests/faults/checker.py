"""Compares what clients were told with what is there: through HTTP, and beside it in rows and blobs.

It looks from outside and changes nothing, but for the orphan sweep, which it runs at the end as if its grace were over:
what is still without an owner then has leaked.
"""

import asyncio
import hashlib
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields

import aiohttp

from tests.faults.client import FaultClient, Link, open_fault_client
from tests.faults.data_directory import INSTALLABLE, DataDirectory, FileRow
from tests.faults.ledger import Ledger
from tests.waiting import eventually

QUIET_SECONDS = 120.0
"""How long a loaded machine may take to finish what waits: a lapsed lease and a few attempts."""
_LISTED = {"default", "error", "deprecated"}
Shown = frozenset[tuple[str, str, bool]]


@dataclass(slots=True)
class Findings:
    """Where a registry differs from what its clients were told; all empty when it keeps its promises.

    Args:
        lost: promised, and not listed.
        damaged: listed or stored with other bytes.
        unreadable: listed, and not to be had.
        doubled: listed twice, or in two packages of one version.
        phantoms: listed, and never promised, or deleted.
        leaked: on the disk, and nobody's: no row has it, and no upload that was cut explains it.
        without_blob: rows whose bytes are gone.
        unfinished: still waiting, after a long time.
        disagreeing: rows, counters, lists, JSON, HTML and API processes that do not say the same.
        wrong: what clients saw meanwhile.
    """

    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    phantoms: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    without_blob: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    disagreeing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Say whether anything was found."""
        return any(getattr(self, one.name) for one in fields(self))

    def __str__(self) -> str:
        """Say what was found, and nothing of what was not."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return "; ".join(f"{name}: {what}" for name, what in found.items() if what) or "no difference"


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks one registry against one ledger.

    Args:
        api_pids: its API processes. Each is asked by itself, while the others are made to stand still.
    """

    ledger: Ledger
    client: FaultClient
    directory: DataDirectory
    api_pids: Sequence[int]

    async def __call__(self, *, quiet_seconds: float = QUIET_SECONDS) -> Findings:
        """Wait until nothing waits any more, then look at everything."""
        with suppress(AssertionError):  # What still waits is found below.
            await self.wait_until_quiet(timeout_seconds=quiet_seconds)
        findings = Findings(wrong=list(self.ledger.wrong))
        rows = await asyncio.to_thread(self.directory.file_rows)
        await self._compare_disk(findings, rows)
        await self._compare_rows(findings, rows)
        shown = _shown_by_rows(rows)
        names = sorted({fate.name for fate in self.ledger.fates.values()} | set(shown))
        await self._compare_promises(findings, names)
        await self._compare_processes(findings, names, shown, await asyncio.to_thread(self._index))
        await self._sweep(findings, rows)
        return findings

    async def wait_until_quiet(self, *, timeout_seconds: float) -> None:
        """Return when no file is being processed or destroyed."""

        async def nothing_waits() -> bool:
            return await asyncio.to_thread(self.directory.count_waiting) == 0

        await eventually(nothing_waits, what="nothing waits any more", timeout_seconds=timeout_seconds)

    async def _compare_promises(self, findings: Findings, names: Sequence[str]) -> None:
        """Hold the pages, and the bytes behind their links, against the ledger."""
        listed: dict[str, Link] = {}
        for name in names:
            links = await self.client.links(name)
            counts = Counter(link.file_name for link in links)
            findings.doubled += [f"{file_name} is listed twice" for file_name, count in counts.items() if count > 1]
            listed |= {link.file_name: link for link in links}
            for link in links:
                await self._download(findings, link)
        for file_name, link in listed.items():
            fate = self.ledger.fates.get(file_name)
            if fate is None or not fate.possible - {None}:
                findings.phantoms.append(file_name)
            elif link.sha256 not in fate.possible:
                findings.damaged.append(f"{file_name} is listed with other bytes")
            elif link.is_yanked not in fate.yanked:
                findings.wrong.append(f"{file_name} is {'' if link.is_yanked else 'not '}yanked")
        findings.lost += [file_name for file_name in self.ledger.promised if file_name not in listed]
        index = await self.client.registry.names()
        findings.phantoms += [f"the name {name}" for name in sorted(set(index) - set(names))]

    async def _download(self, findings: Findings, link: Link) -> None:
        try:
            content = await self.client.registry.download(link.url)
        except aiohttp.ClientError as error:
            findings.unreadable.append(f"{link.file_name}: {error}")
            return
        if hashlib.sha256(content).hexdigest() != link.sha256:
            findings.damaged.append(f"{link.file_name} downloads with other bytes")

    async def _compare_disk(self, findings: Findings, rows: Sequence[FileRow]) -> None:
        """Hold blobs against rows: each belongs to one, but for those that a cut upload may have left."""
        blobs = {blob.key: blob.sha256 for blob in await asyncio.to_thread(self.directory.blobs)}
        excused = Counter(self.ledger.cut)
        owned = set()
        for row in rows:
            owned.add(row.blob_key)
            if row.blob_key not in blobs:
                findings.without_blob.append(f"{row.file_name} ({row.status})")
            elif blobs[row.blob_key] != row.sha256:
                findings.damaged.append(f"{row.file_name} is stored with other bytes")
        for key in blobs.keys() - owned:
            if excused[blobs[key]] > 0:
                excused[blobs[key]] -= 1
            else:
                findings.leaked.append(f"blob {key}")

    async def _compare_rows(self, findings: Findings, rows: Sequence[FileRow]) -> None:
        """Hold rows against each other and against the ledger."""
        for row in rows:
            if row.status in ("processing", "pending_destruction"):
                findings.unfinished.append(f"{row.file_name} ({row.status})")
            # A refusal that its uploader was told leaves nothing; one that came too late for that stays.
            elif row.status == "error" and not self._came_too_late(row):
                findings.leaked.append(f"the row of {row.file_name}, which was refused")
        packages = await asyncio.to_thread(self.directory.packages)
        live = Counter((name, version) for name, version, status in packages if status != "pending_destruction")
        findings.doubled += [
            f"{name} {version} is in two packages" for (name, version), count in live.items() if count > 1
        ]
        findings.unfinished += [
            f"package {name} {version}" for name, version, status in packages if status.startswith("p")
        ]
        with_files = {(row.name, row.version) for row in rows}
        findings.leaked += [
            f"the empty package {name} {version}" for name, version in live if (name, version) not in with_files
        ]
        if rows and await asyncio.to_thread(self.directory.project_counter, self._project_id) == 0:
            findings.disagreeing.append("the project's counter says that nothing has changed")
        findings.disagreeing += await asyncio.to_thread(self.directory.miscounts)
        findings.disagreeing += await asyncio.to_thread(self.directory.broken_references)
        listed = Counter((one["name"], one["version"]) for one in await self.client.packages())
        expected = Counter({(name, version): 1 for name, version, status in packages if status in _LISTED})
        if listed != expected:
            findings.disagreeing.append(
                f"list and rows of packages: {sorted((listed - expected) + (expected - listed))}"
            )

    async def _compare_processes(
        self, findings: Findings, names: Sequence[str], shown: dict[str, Shown], index: list[str]
    ) -> None:
        """Hold what each API process shows, in JSON and in HTML, against the rows."""
        for pid in self.api_pids:
            with _alone(pid, self.api_pids):
                async with open_fault_client(self.client.registry.url, self.client.token, self._project_id) as client:
                    if sorted(await client.registry.names()) != index:
                        findings.disagreeing.append(f"index and rows (process {pid})")
                    for name in names:
                        json_links, html_links = await client.links(name), await client.html_links(name)
                        if json_links != html_links:
                            findings.disagreeing.append(f"{name}: JSON and HTML (process {pid})")
                        if _shown(json_links) != shown.get(name, frozenset()):
                            findings.disagreeing.append(f"{name}: page and rows (process {pid})")

    async def _sweep(self, findings: Findings, rows: Sequence[FileRow]) -> None:
        """Run the orphan sweep, after which nothing may be left that belongs to nobody, and nothing else be gone."""
        owned = {row.blob_key: row.file_name for row in rows}
        before = {blob.key for blob in await asyncio.to_thread(self.directory.blobs)}
        await self.directory.sweep_orphans()
        after = {blob.key for blob in await asyncio.to_thread(self.directory.blobs)}
        findings.leaked += [f"blob {key}, which the sweep left" for key in sorted(after - owned.keys())]
        findings.lost += [f"the blob of {owned[key]}, which the sweep took" for key in owned.keys() & (before - after)]
        findings.leaked += await asyncio.to_thread(self.directory.leftovers)

    def _came_too_late(self, row: FileRow) -> bool:
        return row.file_name in self.ledger.accepted or self.ledger.cut[row.sha256] > 0

    def _index(self) -> list[str]:
        """Return the names that an index must show: those with a package that installers may see."""
        return sorted({name for name, _, status in self.directory.packages() if status in INSTALLABLE})

    @property
    def _project_id(self) -> int:
        return self.client.registry.project_id


def _shown_by_rows(rows: Sequence[FileRow]) -> dict[str, Shown]:
    shown: dict[str, set[tuple[str, str, bool]]] = defaultdict(set)
    for row in rows:
        if row.is_shown:
            shown[row.name].add((row.file_name, row.sha256, bool(row.is_yanked)))
    return {name: frozenset(files) for name, files in shown.items()}


def _shown(links: Sequence[Link]) -> Shown:
    return frozenset((link.file_name, link.sha256, link.is_yanked) for link in links)


@contextmanager
def _alone(pid: int, pids: Sequence[int]) -> Iterator[None]:
    """Let the other processes stand still, so that this one answers whatever is asked."""
    others = [other for other in pids if other != pid]
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)
