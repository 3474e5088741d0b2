"""The checker finds what is planted, each thing by its name; what it does not find, no fault test would."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.blob_keys import new_blob_key
from tests.e2e.processes import LarderProcess, running_larder
from tests.faults.checker import Checker, Findings
from tests.faults.client import FaultClient, Link, open_fault_client
from tests.faults.data_directory import DataDirectory
from tests.faults.ledger import Ledger
from tests.faults.registry import API
from tests.faults.workload import Owner, wheel

pytestmark = pytest.mark.timeout(180)

_KEPT = wheel("planted", "1.0")
_OTHER = wheel("other", "1.0")
_TABLES = ("package_file_metadata", "package_files", "packages", "package_names", "project_storage", "change_counters")
_SECOND_PACKAGE = """
    INSERT INTO packages (id, version, canonical_version, project_id, package_type, name, normalized_name, status,
        created_at, updated_at)
    SELECT id + 1000, '{version}', '{version}', project_id, package_type, name, normalized_name, status, created_at,
        updated_at FROM packages WHERE name = 'planted'
"""


@dataclass(frozen=True, slots=True)
class Field:
    """A registry in which two files were published, to plant something in."""

    larder: LarderProcess
    client: FaultClient
    ledger: Ledger

    @property
    def directory(self) -> DataDirectory:
        return DataDirectory(self.larder.data_dir)

    @property
    def owner(self) -> Owner:
        return Owner(self.client, self.ledger)

    def sql(self, *statements: str) -> None:
        """Change rows behind the registry's back."""
        with closing(sqlite3.connect(self.directory.database, timeout=30)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    @property
    def blob(self) -> Path:
        """Return where the bytes of `planted` are."""
        (row,) = [row for row in self.directory.file_rows() if row.name == "planted"]
        return self.directory.blob_root / row.blob_key

    def new_blob(self, content: bytes) -> Path:
        """Write a blob that no row has."""
        path = self.directory.blob_root / new_blob_key(datetime.now(UTC))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    async def found(self) -> set[str]:
        """Return which kinds of differences the checker finds."""
        checker = Checker(self.ledger, self.client, self.directory, self.larder.pids(API))
        findings = await checker(quiet_seconds=0.5)
        return {one.name for one in fields(Findings) if getattr(findings, one.name)}


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    """One registry for all of these tests; each leaves it empty. It remembers nothing: rows change behind its back."""
    with running_larder(tmp_path_factory.mktemp("planted") / "var", {"CACHE_BYTES": "0"}) as process:
        yield process


@pytest.fixture
async def planted(larder: LarderProcess) -> AsyncIterator[Field]:
    async with open_fault_client(larder.url, larder.token, larder.project_id) as client:
        field = Field(larder, client, Ledger())
        for upload in (_KEPT, _OTHER):
            await field.owner.publish(upload)
        yield field
        await asyncio.to_thread(_wipe, field)


def _wipe(field: Field) -> None:
    field.sql(*(f"DELETE FROM {table}" for table in _TABLES))  # noqa: S608 - names above
    for year in field.directory.blob_root.glob("[0-9]*"):  # The store's name stays.
        shutil.rmtree(year)


async def test_where_nothing_is_planted_nothing_is_found(planted: Field) -> None:
    assert await planted.found() == set()


async def test_a_file_that_is_gone_without_a_trace_is_lost(planted: Field) -> None:
    planted.blob.unlink()
    planted.sql(
        "DELETE FROM package_file_metadata WHERE file_id = (SELECT min(id) FROM package_files)",
        "DELETE FROM package_files WHERE id = (SELECT min(id) FROM package_files)",
        "DELETE FROM packages WHERE normalized_name = 'planted'",
    )

    # The project is still said to hold its bytes.
    assert await planted.found() == {"lost", "disagreeing"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ("UPDATE packages SET status = 'error' WHERE name = 'planted'", {"lost"}),
        ("UPDATE package_files SET status = 'error' WHERE file_name LIKE 'planted%'", {"lost", "leaked"}),
        ("UPDATE package_files SET yanked_at = created_at", {"wrong"}),
        ("DELETE FROM change_counters WHERE scope = 'project'", {"disagreeing"}),
        ("UPDATE project_storage SET bytes = bytes + 1", {"disagreeing"}),
        ("UPDATE package_file_metadata SET file_id = 999999 WHERE file_id % 2", {"disagreeing"}),
        (_SECOND_PACKAGE.format(version="2.0"), {"leaked"}),
    ],
)
async def test_a_row_that_is_not_as_it_must_be_is_found(planted: Field, change: str, kinds: set[str]) -> None:
    planted.sql(change)

    assert await planted.found() == kinds


@pytest.mark.slow
async def test_a_row_that_nobody_will_ever_finish_is_found(planted: Field) -> None:
    planted.sql(
        "UPDATE package_files SET status = 'processing', leased_until = '2999-01-01 00:00:00.000000'"
        " WHERE id = (SELECT min(id) FROM package_files)"
    )

    assert await planted.found() == {"lost", "unfinished"}


async def test_a_file_that_is_listed_twice_is_found(planted: Field) -> None:
    key = planted.new_blob(_KEPT.content).relative_to(planted.directory.blob_root)
    columns = "project_id, file_name, size_bytes, sha256, attempt, uploader_kind, uploader_id, created_at, status"
    planted.sql(
        _SECOND_PACKAGE.format(version="1.0.0"),
        f"INSERT INTO package_files (package_id, blob_key, {columns})"  # noqa: S608 - names above
        f" SELECT package_id + 1000, '{key}', {columns} FROM package_files WHERE file_name = '{_KEPT.file_name}'",
        "INSERT INTO package_file_metadata SELECT (SELECT max(id) FROM package_files), NULL, NULL, '{}', NULL",
    )

    assert "doubled" in await planted.found()


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), {"damaged"}),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), {"damaged", "unreadable"}),
        (Path.unlink, {"unreadable", "without_blob"}),
    ],
    ids=["one byte", "cut short", "gone"],
)
async def test_a_blob_that_is_harmed_is_found(planted: Field, harm: Callable[[Path], object], kinds: set[str]) -> None:
    harm(planted.blob)

    assert await planted.found() == kinds


async def test_a_blob_that_is_nobodys_is_found_and_one_of_a_cut_upload_is_not(planted: Field) -> None:
    planted.new_blob(_KEPT.content)

    planted.ledger.was_cut(_KEPT)
    assert await planted.found() == set()

    planted.new_blob(_KEPT.content)
    planted.new_blob(_KEPT.content)
    assert await planted.found() == {"leaked"}


@pytest.mark.slow
@pytest.mark.parametrize("place", ["blobs/2026/01/01/left.tmp", "blobs/left", "scratch-file"])
async def test_a_file_that_somebody_has_left_lying_is_found(planted: Field, place: str) -> None:
    left = planted.larder.data_dir / place
    left.parent.mkdir(parents=True, exist_ok=True)
    left.touch()

    assert await planted.found() == {"leaked"}

    left.unlink()


async def test_a_file_that_nobody_has_published_is_a_phantom(planted: Field) -> None:
    await Owner(planted.client, Ledger()).publish(wheel("phantom", "1.0"))

    assert await planted.found() == {"phantoms"}


@pytest.mark.slow
async def test_a_deleted_file_that_is_still_there_is_a_phantom(planted: Field) -> None:
    planted.ledger.deleted([_KEPT.file_name])

    assert await planted.found() == {"phantoms"}


async def test_a_deleted_file_that_is_on_the_disk_alone_is_leaked(planted: Field) -> None:
    content = planted.blob.read_bytes()
    await planted.owner.delete_package("planted", "1.0", [_KEPT.file_name])
    planted.new_blob(content)

    assert await planted.found() == {"leaked"}


@pytest.mark.slow
async def test_another_file_under_the_same_name_is_damage(planted: Field) -> None:
    planted.ledger.published(wheel("planted", "1.0", content=b"other"))

    assert await planted.found() == {"damaged"}


@pytest.mark.slow
async def test_pages_that_do_not_say_the_same_are_found(planted: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgetful(client: FaultClient, name: str) -> list[Link]:
        return []

    monkeypatch.setattr(FaultClient, "html_links", forgetful)

    assert await planted.found() == {"disagreeing"}


@pytest.mark.slow
async def test_a_page_that_is_remembered_for_too_long_is_found(tmp_path: Path) -> None:
    with running_larder(tmp_path / "var") as larder:
        async with open_fault_client(larder.url, larder.token, larder.project_id) as client:
            field = Field(larder, client, Ledger())
            await field.owner.publish(_KEPT)
            assert await field.found() == set()

            field.sql("UPDATE package_files SET yanked_at = created_at")

            assert await field.found() == {"disagreeing"}


@pytest.mark.slow
async def test_what_a_client_saw_is_found_too(planted: Field) -> None:
    planted.ledger.wrong.append("something odd")

    assert await planted.found() == {"wrong"}
