"""The memory for what was derived from rows, over real rows and real looks at their counters."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.metadata.change_checks import open_change_checks
from shared.metadata.store import open_metadata_store
from shared.models import CounterScope, Project
from shared.ports.change_checks import ChangeChecks, Stamps
from shared.ports.metadata_store import MetadataStore
from shared.usecases.memo import Derived, Memo, Terms, end_trace_at, traced
from tests.backends import sqlite_template
from tests.contracts.metadata.sample_rows import new_package, new_project

__all__ = ["sqlite_template"]

_START = datetime(2026, 11, 21, 12, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class Library:
    """A project, and how many packages it has as something worth remembering."""

    store: MetadataStore
    checks: ChangeChecks
    project: Project
    now: datetime = _START
    derived: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def memo(self, limit_bytes: int = 2**20) -> Memo:
        return Memo(self.checks, limit_bytes=limit_bytes, now=lambda: self.now)

    async def add(self, name: str) -> None:
        async with self.store.writing() as rows:
            await rows.packages.find_or_add(new_package(self.project.id, name))

    async def count(self, *, size_bytes: int = 8, ends_at: datetime | None = None) -> Derived[int]:
        """Derive how often the project has changed."""
        async with self.store.reading() as rows:
            counters = await rows.counters([(CounterScope.PROJECT, self.project.id)])
        self.derived += 1  # Not before the rows were read: tests wait for this, and then change them.
        await self.gate.wait()
        (value,) = counters.values()
        return Derived(value, Stamps(counters), size_bytes=size_bytes, ends_at=ends_at)


@pytest.fixture
async def library(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Library]:
    shutil.copy(sqlite_template, tmp_path / "larder.sqlite3")
    url = f"sqlite:///{tmp_path}/larder.sqlite3"
    async with open_metadata_store(url) as store, open_change_checks(url) as checks:
        library = Library(store, checks, await new_project(store))
        library.gate.set()
        yield library


async def test_a_value_is_derived_once_until_what_it_was_derived_from_changes(library: Library) -> None:
    memo = library.memo()
    assert [await memo(("count",), library.count) for _ in range(3)] == [0] * 3
    assert library.derived == 1
    await library.add("one")
    assert [await memo(("count",), library.count) for _ in range(3)] == [1] * 3
    assert library.derived == 2


async def test_nothing_is_remembered_where_there_is_no_room_for_anything(library: Library) -> None:
    memo = library.memo(limit_bytes=0)
    assert [await memo(("count",), library.count) for _ in range(3)] == [0] * 3
    assert library.derived == 3


@pytest.mark.parametrize("later", [10 * _SECOND, 11 * _SECOND, -_SECOND])
async def test_a_value_ends_at_its_instant_and_when_the_clock_is_set_back(library: Library, later: timedelta) -> None:
    memo = library.memo()

    async def derive() -> Derived[int]:
        return await library.count(ends_at=_START + 10 * _SECOND)

    await memo(("count",), derive)
    library.now = _START + 9 * _SECOND
    await memo(("count",), derive)
    assert library.derived == 1
    library.now = _START + later
    await memo(("count",), derive)
    assert library.derived == 2


async def test_what_has_no_stamps_and_what_fails_is_not_remembered(library: Library) -> None:
    memo = library.memo()
    tries = []

    async def without_stamps() -> Derived[int]:
        tries.append("without")
        return Derived(7, None, size_bytes=1)

    async def failing() -> Derived[int]:
        tries.append("failing")
        raise LookupError

    for _ in range(2):
        assert await memo(("a",), without_stamps) == 7
        with pytest.raises(LookupError):
            await memo(("b",), failing)
    assert tries == ["without", "failing"] * 2


async def test_what_nobody_has_asked_for_the_longest_goes_first(library: Library) -> None:
    memo = library.memo(limit_bytes=40_000)

    async def derive() -> Derived[int]:
        return await library.count(size_bytes=3_000)

    async def derivations(*keys: int) -> list[int]:
        found = []
        for key in keys:
            before = library.derived
            await memo((key,), derive)
            found.append(library.derived - before)
        return found

    assert await derivations(*range(9)) == [1] * 9
    assert await derivations(0) == [0]
    assert await derivations(9) == [1]
    assert await derivations(0, 2, 3, 9) == [0] * 4
    assert await derivations(1) == [1]


async def test_what_would_drive_out_too_much_is_not_remembered(library: Library) -> None:
    memo = library.memo(limit_bytes=40_000)

    async def derive() -> Derived[int]:
        return await library.count(size_bytes=20_000)

    for _ in range(2):
        await memo(("large",), derive)
    assert library.derived == 2


async def test_those_who_ask_at_once_have_it_derived_once(library: Library) -> None:
    memo = library.memo()
    library.gate.clear()
    asking = [asyncio.create_task(memo(("count",), library.count)) for _ in range(20)]
    await _all_wait(lambda: library.derived == 1)
    library.gate.set()
    async with asyncio.timeout(60):
        assert [await one for one in asking] == [0] * 20
    assert library.derived == 1


async def test_who_comes_after_a_change_gets_nothing_that_was_being_derived_before_it(library: Library) -> None:
    memo = library.memo()
    library.gate.clear()
    before = asyncio.create_task(memo(("count",), library.count))
    await _all_wait(lambda: library.derived == 1)
    await library.add("meanwhile")
    after = [asyncio.create_task(memo(("count",), library.count)) for _ in range(5)]
    await asyncio.sleep(0)
    library.gate.set()
    async with asyncio.timeout(60):
        assert await before == 0
        assert [await one for one in after] == [1] * 5
    assert await memo(("count",), library.count) == 1


async def test_who_waits_for_one_that_is_cut_off_derives_it_alone(library: Library) -> None:
    memo = library.memo()
    library.gate.clear()
    first = asyncio.create_task(memo(("count",), library.count))
    await _all_wait(lambda: library.derived == 1)
    second = asyncio.create_task(memo(("count",), library.count))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    library.gate.set()
    async with asyncio.timeout(60):
        assert await second == 0
    assert (first.cancelled(), library.derived) == (True, 2)


async def test_what_is_made_of_a_value_ends_with_it(library: Library) -> None:
    stamps = Stamps({})
    made = Derived(7, stamps, size_bytes=1, ends_at=_START).into("seven", size_bytes=5)
    assert made == Derived("seven", stamps, size_bytes=5, ends_at=_START)


async def test_a_trace_has_the_terms_of_all_that_was_handed_out(library: Library) -> None:
    memo = library.memo()

    async def derive() -> Derived[int]:
        return await library.count(ends_at=_START + 20 * _SECOND)

    await memo(("old",), derive)
    library.now += _SECOND
    with traced() as trace:
        await memo(("old",), derive)
        await memo(("new",), library.count)
        end_trace_at(_START + 9 * _SECOND)
    terms = trace.terms()
    assert terms is not None
    assert (terms.since, terms.ends_at) == (library.now, _START + 9 * _SECOND)
    assert await library.checks.hold(terms.stamps)
    await library.add("one")
    assert not await library.checks.hold(terms.stamps)


async def test_there_are_no_terms_of_what_must_not_be_remembered(library: Library) -> None:
    async def without_stamps() -> Derived[int]:
        return Derived(7, None, size_bytes=1)

    async def terms_of(memo: Memo, *steps: Callable[[Memo], Awaitable[object]]) -> Terms | None:
        with traced() as trace:
            for step in steps:
                await step(memo)
        return trace.terms()

    async def ask(memo: Memo) -> object:
        return await memo((library.derived,), library.count)

    async def ask_for_what_has_no_stamps(memo: Memo) -> object:
        return await memo(("without",), without_stamps)

    async def change(_: Memo) -> None:
        await library.add(f"package-{library.derived}")

    assert await terms_of(library.memo(), ask, ask) is not None
    assert await terms_of(library.memo()) is None
    assert await terms_of(library.memo(), ask, ask_for_what_has_no_stamps) is None
    assert await terms_of(library.memo(), ask, change, ask) is None
    assert await terms_of(library.memo(limit_bytes=0), ask) is None


async def _all_wait(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not claim():  # noqa: ASYNC110 - the event would be set by the very code that is tried
            await asyncio.sleep(0)
