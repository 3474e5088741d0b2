"""What was derived from rows, remembered by a process for as long as nothing that it was derived from has changed.

The rule that makes it right: a value carries stamps, the change counters of all that it was derived from, read in the
snapshot that its rows were read in. It is handed out only after a look that began after the request had come, and that
found each counter as it was. So nobody gets an answer that the rows would not have given at some instant since they
asked: a token that was revoked, or a file that was deleted, is gone for the very next request, in every process.

Two things are for whoever derives a value. It must depend on nothing but the key, the rows of one snapshot, what never
changes while the process lives, and the clock; and a value that time alone can end must carry the instant.

Whoever makes something of several values may have it noted, meanwhile, what they were derived from: see `traced`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

from shared.ports.change_checks import ChangeChecks, Stamps

T = TypeVar("T")
U = TypeVar("U")

Key = tuple[object, ...]
"""Begins with the kind of the value. Holds digests of secrets, never secrets."""

_ENTRY_BYTES = 1024
"""Reckoned for the key and all else of an entry, so that the bound in bytes is one in entries as well."""
_STAMP_BYTES = 200
_LARGEST_PART = 2
"""What takes more than this part of the whole is not remembered: it would drive out too much else."""
_WAIT_SECONDS = 10.0


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Derived(Generic[T]):
    """A value, and what is known of how long it holds.

    Args:
        value: shared by all who ask for it, so nobody may change it.
        stamps: of all that it was derived from; None: it must not be remembered.
        size_bytes: about how much it takes.
        ends_at: the first instant at which it may be another by the clock alone, or None.
    """

    value: T
    stamps: Stamps | None
    size_bytes: int
    ends_at: datetime | None = None

    def into(self, value: U, *, size_bytes: int) -> "Derived[U]":
        """Return what was made of the value, and of nothing else that could change."""
        return Derived(value, self.stamps, size_bytes=size_bytes, ends_at=self.ends_at)


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long something holds that was made of values that were derived.

    Args:
        since: no clock that shows less than this agrees with it.
        ends_at: the first instant at which it may be another by the clock alone, or None.
    """

    stamps: Stamps
    since: datetime
    ends_at: datetime | None

    def are_of(self, now: datetime) -> bool:
        """Say whether the clock has nothing against it; one that was set back has."""
        return self.since <= now and (self.ends_at is None or now < self.ends_at)


@dataclass(slots=True)
class Trace:
    """What was handed out since it began, as far as that says for how long it holds."""

    _stamps: list[Stamps | None] = field(default_factory=list)
    _since: list[datetime] = field(default_factory=list)
    _ends: list[datetime] = field(default_factory=list)

    def note(self, stamps: Stamps | None, since: datetime, ends_at: datetime | None) -> None:
        """Note what a value that was handed out was derived from."""
        self._stamps.append(stamps)
        self._since.append(since)
        self.end_at(ends_at)

    def end_at(self, instant: datetime | None) -> None:
        """Note that nothing that is made of it may be used from an instant on."""
        if instant is not None:
            self._ends.append(instant)

    def terms(self) -> Terms | None:
        """Return the terms of what was made of all that was handed out; None: it must not be remembered."""
        stamped = [stamps for stamps in self._stamps if stamps is not None]
        if not stamped or len(stamped) < len(self._stamps):
            return None
        stamps = Stamps.of_all(stamped)
        return None if stamps is None else Terms(stamps, max(self._since), min(self._ends, default=None))


_TRACE: ContextVar[Trace | None] = ContextVar("trace of what was handed out", default=None)


@contextmanager
def traced() -> Iterator[Trace]:
    """Note what every memory hands out in the block, and in tasks that are made in it."""
    trace = Trace()
    token = _TRACE.set(trace)
    try:
        yield trace
    finally:
        _TRACE.reset(token)


def end_trace_at(instant: datetime | None) -> None:
    """Have nothing that is being made of remembered values used from this instant on."""
    trace = _TRACE.get()
    if trace is not None:
        trace.end_at(instant)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is remembered under a key, and since when."""

    value: object
    terms: Terms
    cost_bytes: int


class Memo:
    """Remembers values of all kinds within one bound; those that nobody has asked for the longest go first."""

    def __init__(self, checks: ChangeChecks, *, limit_bytes: int, now: Callable[[], datetime] = _now) -> None:
        """Make it, empty.

        Args:
            limit_bytes: about how much it may take; 0: nothing is remembered, and nothing is looked at.
            now: the clock, in UTC.
        """
        self._checks = checks
        self._limit_bytes = limit_bytes
        self._now = now
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._total_bytes = 0
        self._under_way: dict[Key, asyncio.Event] = {}
        self.found = 0
        self.missed = 0

    @property
    def is_on(self) -> bool:
        """Say whether anything is remembered at all."""
        return self._limit_bytes > 0

    async def __call__(self, key: Key, derive: Callable[[], Awaitable[Derived[T]]]) -> T:
        """Return the value of the key: the remembered one if it still holds, else what `derive` returns now.

        Who comes while the same value is being derived waits for that. What comes out of it may be older than they are,
        so they look like anybody else; and whoever finds it outdated already derives it without waiting again.

        Raises: what `derive` raises, which is not remembered.
        """
        if not self.is_on:
            return (await derive()).value  # What nobody notes, nothing is made of that would be remembered.
        entry = await self._find(key)
        if entry is None and (under_way := self._under_way.get(key)) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAIT_SECONDS):
                    await under_way.wait()
            entry = await self._find(key)
        if entry is None:
            self.missed += 1
            return await self._derive(key, derive)
        self.found += 1
        _note(entry.terms.stamps, entry.terms.since, entry.terms.ends_at)
        return cast("T", entry.value)  # A key stands for one kind of value.

    def forget(self, key: Key) -> None:
        """Have the value derived anew when it is asked for next."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._total_bytes -= entry.cost_bytes

    async def _find(self, key: Key) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        holds = entry.terms.are_of(self._now()) and await self._checks.hold(entry.terms.stamps)
        if self._entries.get(key) is entry:  # Another may have taken its place during the look.
            if holds:
                self._entries.move_to_end(key)
            else:
                self.forget(key)
        return entry if holds else None

    async def _derive(self, key: Key, derive: Callable[[], Awaitable[Derived[T]]]) -> T:
        since = self._now()
        is_over = asyncio.Event()
        is_first = self._under_way.setdefault(key, is_over) is is_over
        try:
            derived = await derive()
            self._keep(key, derived, since)
        finally:
            if is_first:
                del self._under_way[key]
            is_over.set()
        _note(derived.stamps, since, derived.ends_at)
        return derived.value

    def _keep(self, key: Key, derived: Derived[Any], since: datetime) -> None:
        stamps = derived.stamps
        if stamps is None:
            return
        cost_bytes = _ENTRY_BYTES + derived.size_bytes + _STAMP_BYTES * len(stamps.counters)
        if cost_bytes > self._limit_bytes // _LARGEST_PART:
            return
        self.forget(key)
        self._entries[key] = _Entry(derived.value, Terms(stamps, since, derived.ends_at), cost_bytes)
        self._total_bytes += cost_bytes
        while self._total_bytes > self._limit_bytes:
            self.forget(next(iter(self._entries)))


def _note(stamps: Stamps | None, since: datetime, ends_at: datetime | None) -> None:
    trace = _TRACE.get()
    if trace is not None:
        trace.note(stamps, since, ends_at)
