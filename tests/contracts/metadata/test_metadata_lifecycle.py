"""The life of packages and files, compared step by step with a plain model of it, on SQLite."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.errors import FileNameTaken
from shared.metadata.store import SqlWriting, open_metadata_store
from shared.models import INSTALLABLE, PackageFileId, PackageFileStatus, PackageId, PackageStatus
from shared.names import NormalizedName
from tests.contracts.metadata.sample_rows import DIGESTS, LATER, lease_end, new_file, new_package, new_project

pytestmark = pytest.mark.slow

T = TypeVar("T")

NAMES = ("demo", "other")
VERSIONS = ("1", "2")
FILE_NAMES = ("a", "b", "c")
DOOMED = PackageStatus.PENDING_DESTRUCTION
DOOMED_FILE = PackageFileStatus.PENDING_DESTRUCTION
ALIVE = frozenset(PackageStatus)
ALIVE_FILE = frozenset(PackageFileStatus)


@dataclass
class ModelFile:
    name: str
    status: PackageFileStatus = PackageFileStatus.PROCESSING
    attempt: int = 1
    is_leased: bool = False


@dataclass
class ModelPackage:
    name: str
    version: str
    status: PackageStatus = PackageStatus.PROCESSING
    files: dict[PackageFileId, ModelFile] = field(default_factory=dict)


class Lifecycle(RuleBasedStateMachine):
    """Does the same to a store and to a model, and compares what both say."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.packages: dict[PackageId, ModelPackage] = {}
        self.highest = 0
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.directory = tempfile.TemporaryDirectory(prefix="larder-lifecycle-")

    @initialize()
    def open(self) -> None:
        path = Path(self.directory.name) / "larder.sqlite3"
        shutil.copy(self.template, path)
        self.store = self.runner.run(self.stack.enter_async_context(open_metadata_store(f"sqlite:///{path}")))
        self.project = self.runner.run(new_project(self.store))

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.directory.cleanup()

    def write(self, change: Callable[[SqlWriting], Awaitable[T]], *, locked: PackageId | None = None) -> T:
        async def transaction() -> T:
            async with self.store.writing() as rows:
                if locked is not None:
                    await rows.packages.lock(locked)
                return await change(rows)

        return self.runner.run(transaction())

    def files(self) -> dict[PackageFileId, tuple[PackageId, ModelFile]]:
        return {
            file_id: (package_id, file)
            for package_id, package in self.packages.items()
            for file_id, file in package.files.items()
        }

    def pick_file(self, number: int) -> tuple[PackageFileId, PackageId, ModelFile]:
        found = self.files()
        file_id = sorted(found)[number % len(found)]
        return file_id, *found[file_id]

    def pick_package(self, number: int) -> tuple[PackageId, ModelPackage]:
        package_id = sorted(self.packages)[number % len(self.packages)]
        return package_id, self.packages[package_id]

    has_files = precondition(lambda self: self.files())
    has_packages = precondition(lambda self: self.packages)

    @rule(name=st.sampled_from(NAMES), version=st.sampled_from(VERSIONS), file_name=st.sampled_from(FILE_NAMES))
    def upload(self, name: str, version: str, file_name: str) -> None:
        async def change(rows: SqlWriting) -> tuple[PackageId, bool, PackageFileId | None]:
            package, added = await rows.packages.find_or_add(new_package(self.project.id, name, version))
            try:
                file = await rows.packages.add_file(new_file(package, file_name))
            except FileNameTaken:
                return package.id, added, None
            return package.id, added, file.id

        package_id, added, file_id = self.write(change)
        known = [
            known_id
            for known_id, package in self.packages.items()
            if (package.name, package.version) == (name, version) and package.status is not DOOMED
        ]
        assert added is not bool(known)
        if added:
            assert package_id > self.highest, "ids never come back"
            self.highest = package_id
            self.packages[package_id] = ModelPackage(name, version)
        else:
            assert [package_id] == known
        files = self.packages[package_id].files
        taken = {file.name for file in files.values() if file.status in {"default", "processing"}}
        assert (file_id is None) is (file_name in taken)
        if file_id is not None:
            assert file_id > max(self.files(), default=0)
            files[file_id] = ModelFile(file_name)

    @has_files
    @rule(number=st.integers(0, 99), attempt=st.integers(1, 3))
    def take_lease(self, number: int, attempt: int) -> None:
        file_id, _, file = self.pick_file(number)
        taken = self.write(lambda rows: rows.packages.take_lease(file_id, attempt=attempt, until=lease_end()))
        is_free = file.status is PackageFileStatus.PROCESSING and file.attempt == attempt and not file.is_leased
        assert (taken is not None) is is_free
        file.is_leased = file.is_leased or is_free

    @has_files
    @rule(number=st.integers(0, 99), attempt=st.integers(1, 3))
    def renew_or_move_on(self, number: int, attempt: int) -> None:
        file_id, _, file = self.pick_file(number)
        is_held = file.is_leased and file.attempt == attempt
        until = lease_end()
        assert self.write(lambda rows: rows.packages.renew_lease(file_id, attempt=attempt, until=until)) is is_held
        assert (
            self.write(lambda rows: rows.packages.next_attempt(file_id, attempt=attempt, leased_until=until)) is is_held
        )
        if is_held:
            file.attempt, file.is_leased = attempt + 1, False

    @has_files
    @rule(number=st.integers(0, 99), attempt=st.integers(1, 3), is_good=st.booleans())
    def judge(self, number: int, attempt: int, is_good: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        file_id, package_id, file = self.pick_file(number)

        async def verdict(rows: SqlWriting) -> bool:
            if is_good:
                return await rows.packages.accept_file(file_id, attempt=attempt, digests=DIGESTS, metadata=None)
            return await rows.packages.refuse_file(file_id, attempt=attempt, reason="broken")

        is_held = file.is_leased and file.attempt == attempt
        assert self.write(verdict, locked=package_id) is is_held
        if not is_held:
            return
        package = self.packages[package_id]
        file.is_leased = False
        file.status = PackageFileStatus.DEFAULT if is_good else PackageFileStatus.ERROR
        if is_good and package.status in {"processing", "error"}:
            package.status = PackageStatus.DEFAULT
        has_hope = any(other.status in {"default", "processing"} for other in package.files.values())
        if not is_good and package.status is PackageStatus.PROCESSING and not has_hope:
            package.status = PackageStatus.ERROR

    @has_packages
    @rule(number=st.integers(0, 99))
    def doom_package(self, number: int) -> None:
        package_id, package = self.pick_package(number)
        doomed = self.write(lambda rows: rows.packages.doom_package(package_id, source=ALIVE), locked=package_id)
        assert doomed == (None if package.status is DOOMED else tuple(sorted(package.files)))
        package.status = DOOMED
        for file in package.files.values():
            file.status, file.is_leased = DOOMED_FILE, False

    @has_files
    @rule(number=st.integers(0, 99))
    def doom_file(self, number: int) -> None:
        file_id, package_id, file = self.pick_file(number)
        is_doomed = self.write(lambda rows: rows.packages.doom_file(file_id, source=ALIVE_FILE), locked=package_id)
        assert is_doomed is (file.status is not DOOMED_FILE)
        file.status, file.is_leased = DOOMED_FILE, False

    @has_files
    @rule(number=st.integers(0, 99), source=st.sampled_from([DOOMED_FILE, PackageFileStatus.ERROR]))
    def remove_file(self, number: int, source: PackageFileStatus) -> None:
        file_id, package_id, file = self.pick_file(number)
        is_removed = self.write(lambda rows: rows.packages.remove_file(file_id, source=source), locked=package_id)
        assert is_removed is (file.status is source)
        if is_removed:
            del self.packages[package_id].files[file_id]

    @has_packages
    @rule(number=st.integers(0, 99))
    def remove_package_if_empty(self, number: int) -> None:
        package_id, package = self.pick_package(number)
        is_removed = self.write(lambda rows: rows.packages.remove_package_if_empty(package_id), locked=package_id)
        assert is_removed is not bool(package.files)
        if is_removed:
            del self.packages[package_id]

    @rule()
    def sweep(self) -> None:
        removed = self.write(lambda rows: rows.packages.remove_doomed_empty_packages(limit=100))
        empty = [key for key, package in self.packages.items() if package.status is DOOMED and not package.files]
        assert removed == len(empty)
        for package_id in empty:
            del self.packages[package_id]

    @invariant()
    def readers_see_what_the_model_says(self) -> None:
        if not hasattr(self, "store"):
            return
        self.runner.run(self.compare())

    async def compare(self) -> None:
        async with self.store.reading() as rows:
            for package_id, package in self.packages.items():
                found = await rows.packages.package(package_id)
                assert found is not None
                assert found.status is package.status
            for file_id, (package_id, file) in self.files().items():
                stored = await rows.packages.file(file_id)
                assert stored is not None
                assert (stored.package_id, stored.file_name, stored.status) == (package_id, file.name, file.status)
                assert (stored.attempt, stored.leased_until is not None) == (file.attempt, file.is_leased)
            shown = {key: package for key, package in self.packages.items() if package.status in INSTALLABLE}
            index = await rows.packages.index(self.project.id)
            assert [line.normalized_name for line in index] == sorted({package.name for package in shown.values()})
            for name in NAMES:
                expected = [
                    file_id
                    for _, package in sorted(shown.items())
                    if package.name == name
                    for file_id, file in sorted(package.files.items())
                    if file.status is PackageFileStatus.DEFAULT
                ]
                page = await rows.packages.page(self.project.id, NormalizedName(name))
                assert (page is None) is not any(package.name == name for package in shown.values())
                assert [line.file_id for line in (page.files if page else ())] == expected
            waiting = {file.id for file in await rows.packages.unleased(created_before=LATER, now=LATER, limit=100)}
            lapsed = {file.id for file in await rows.packages.lapsed(now=LATER, lease_seconds=1, limit=100)}
            doomed = {file.id for file in await rows.packages.doomed(doomed_before=LATER, now=LATER, limit=100)}
            files = {file_id: file for file_id, (_, file) in self.files().items()}
            in_process = {key for key, file in files.items() if file.status is PackageFileStatus.PROCESSING}
            assert lapsed == {key for key, file in files.items() if file.is_leased}
            assert waiting == in_process - lapsed
            assert doomed == {key for key, file in files.items() if file.status is DOOMED_FILE}


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_store_lives_as_its_model_does(engine: str, sqlite_template: Path) -> None:
    class OnTemplate(Lifecycle):
        template = sqlite_template

    run_state_machine_as_test(
        OnTemplate,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
