"""Move a registry to other stores: its rows, its files, or both; to the other engine, to S3, and back.

Files first, each under its key and compared with its row; the rows last, and whole or not at all. While the rows are
copied nobody may use the registry. A move that was stopped, however hard, is taken up again by doing it once more.

Every place that a registry leaves, and the one that it comes to, get out of step on purpose: what arrives names another
blob store than what was left, so nobody goes on by mistake with the rows of one and the files of the other.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

from shared.errors import OperatorError
from shared.ports.blob_store import BlobStore
from shared.ports.metadata_store import MetadataStore, Writing
from shared.ports.moved_rows import Arrival, Mark, StillDatabase
from shared.usecases.blob_copies import WAITED_FOR, Tell, Uncopied
from shared.usecases.blob_store_name import BlobStoreForeign, bears_another_name, require_own_blob_store
from shared.usecases.damage import note_damage
from shared.usecases.move_files import (
    CopiedFiles,
    FilesTarget,
    MoveRefused,
    another_registry,
    copy_ahead,
    copy_all,
    new_name,
    require_lost,
)


class FilesLost(OperatorError):
    """Files of the registry are damaged or gone, so it was not moved.

    Args:
        lost: which, and why; by id.
    """

    def __init__(self, lost: tuple[Uncopied, ...]) -> None:
        super().__init__(
            f"not moved: {len(lost)} files are damaged or gone; upload them again or delete them, or leave them behind "
            "with `--without-damaged`"
        )
        self.lost = lost


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a move.

    Args:
        files: what came of its files; None: they stayed.
        is_over: it had come to its end before, and there was nothing to do.
    """

    files: CopiedFiles | None = None
    is_over: bool = False

    @property
    def lost(self) -> tuple[Uncopied, ...]:
        """Return the files of which the source has not the bytes."""
        return self.files.lost if self.files else ()


class _Stage(Enum):
    """How far a move has come."""

    BEGINNING = auto()
    UNNAMED = auto()
    """All is there, and the blob store does not bear the name yet that the rows have noted."""
    OVER = auto()


@dataclass(frozen=True, slots=True)
class RowsTarget:
    """Where rows go.

    Args:
        look: returns what the rows that are there say of themselves; None where there are none.
        load: puts the rows of a SQLite file there, whole or not at all.
    """

    look: Callable[[], Awaitable[Mark | None]]
    load: Callable[[Path], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Move a registry.

    Args:
        look: returns what its rows say of themselves.
        open_rows: opens them.
        open_blobs: opens its blob store.
        hold_still: has its database for itself.
        rows_to: None: they stay.
        files_to: None: they stay.
        open_snapshot: opens the rows of a SQLite file.
        arrive: notes in the rows of such a file where they have come to.
        work: a path for such a file, with nothing there.
    """

    look: Callable[[], Awaitable[Mark | None]]
    open_rows: Callable[[], AbstractAsyncContextManager[MetadataStore]]
    open_blobs: Callable[[], AbstractAsyncContextManager[BlobStore]]
    hold_still: Callable[[], AbstractAsyncContextManager[StillDatabase]]
    rows_to: RowsTarget | None
    files_to: FilesTarget | None
    open_snapshot: Callable[[Path], AbstractAsyncContextManager[MetadataStore]]
    arrive: Callable[[Path, Arrival], Awaitable[None]]
    work: Path

    async def ahead(self, *, tell: Tell) -> Moved:
        """Copy the files that there are now, beside the running registry; nothing holds it up.

        Files that are deleted meanwhile are none that are lost; `lost` has those that are damaged, which stay as they
        are.

        Raises: as of the move itself, but for RegistryInUse and FilesLost.
        """
        if self.files_to is None:
            raise MoveRefused("nothing can be copied ahead: `--to-blobs` says where files go")
        async with self.open_blobs() as source:
            if await self._stage(await self._look(), source) is _Stage.OVER:
                return Moved(is_over=True)
            async with self.open_rows() as rows:
                await require_own_blob_store(rows, source)
                copied = await copy_ahead(self.files_to, rows, source, tell=tell)
                lost = tuple([one for one in copied.lost if await _is_waited_for(rows, one)])
        return Moved(replace(copied, lost=lost))

    async def __call__(self, *, leaves_lost: bool, tell: Tell) -> Moved:
        """Move it to the end. Of the source nothing is changed, but that its blob store gets a name where it had none.

        Args:
            leaves_lost: go on when files are damaged or gone; they are in `error` afterwards.

        Raises (some of them in groups):
            RegistryInUse: a process has its database open.
            MoveRefused: the target holds something else, or what was moved there before and has changed since.
            FilesLost: files are damaged or gone.
            SchemaUnknown: a database is of another version.
            BlobStoreForeign: the blob store is not this registry's.
            MetadataUnavailable, BlobStoreUnavailable, StorageFull: it could not be done; nothing is lost by trying
                again.
        """
        async with self.open_blobs() as source:
            stage = await self._stage(await self._look(), source)
            if stage is _Stage.OVER:
                return Moved(is_over=True)
            if stage is _Stage.BEGINNING:
                async with self.open_rows() as rows:
                    await require_own_blob_store(rows, source)
            async with self.hold_still() as still:
                mark = await still.mark()
                if await self._stage(mark, source) is _Stage.BEGINNING:
                    moved = await self._move(mark, still, source, leaves_lost=leaves_lost, tell=tell)
                else:
                    moved = await self._take_last_step(mark, source)
        return moved

    async def _look(self) -> Mark:
        mark = await self.look()
        if mark is None:
            raise MoveRefused("there is no registry in the database: nothing can be moved")
        return mark

    async def _stage(self, mark: Mark, source: BlobStore) -> _Stage:
        """Return how far this move has come.

        Raises:
            MoveRefused: there are other rows where those of the registry are to go.
        """
        there: Mark | None = mark
        if self.rows_to is not None:
            there = await self.rows_to.look()
            if there is None:
                return _Stage.BEGINNING
            _require_same(mark, there)
        assert there is not None
        found = await self._name_there(source)
        if found is not None and found == there.blob_store_name:
            return _Stage.OVER
        arrival = there.arrival
        is_left_as_it_came = self.rows_to is not None or there.is_untouched
        if arrival is not None and found == arrival.store_was and is_left_as_it_came:
            return _Stage.UNNAMED
        if self.rows_to is not None:
            raise another_registry("database", "--to-database")
        return _Stage.BEGINNING

    async def _name_there(self, source: BlobStore) -> str | None:
        """Return the name of the blob store that the registry is to have in the end."""
        if self.files_to is None:
            return await source.name()
        if not await self.files_to.is_there():
            return None
        async with self.files_to.open() as target:
            return await target.name()

    async def _move(
        self, mark: Mark, still: StillDatabase, source: BlobStore, *, leaves_lost: bool, tell: Tell
    ) -> Moved:
        came_from = mark.blob_store_name
        if came_from is None:
            raise BlobStoreForeign(found=await source.name(), expected=None)
        moved = Moved()
        await still.take_snapshot(self.work)
        async with self.open_snapshot(self.work) as rows:
            if self.files_to is not None:
                moved = Moved(await copy_all(self.files_to, rows, source, tell=tell))
            if moved.lost and not leaves_lost:
                raise FilesLost(moved.lost)
            await require_lost(source, moved.lost)
            # A disk that went away in between would have left most files behind.
            if await bears_another_name(rows, source):
                raise BlobStoreForeign(found=await source.name(), expected=came_from)
            if self.rows_to is not None:
                async with rows.writing() as writing:
                    await _declare_lost(writing, moved.lost)
        arrival = Arrival(
            blob_store_name=new_name(),
            came_from=came_from,
            store_was=moved.files.store_name if moved.files else came_from,
            last_event=mark.newest_event,
        )
        await still.require_held()
        if self.rows_to is None:
            async with still.arriving(arrival) as writing:
                await _declare_lost(writing, moved.lost)
        else:
            await self.arrive(self.work, arrival)
            await self.rows_to.load(self.work)
        await self._give_name(arrival, source)
        return moved

    async def _take_last_step(self, mark: Mark, source: BlobStore) -> Moved:
        """Do what is left to do when a move was killed at its very end."""
        there = mark if self.rows_to is None else await self.rows_to.look()
        assert there is not None
        assert there.arrival is not None
        await self._give_name(there.arrival, source)
        return Moved()

    async def _give_name(self, arrival: Arrival, source: BlobStore) -> None:
        """Let the store where the files are now bear the name that the rows have noted.

        One that stays where it is must not bear the old one any longer: to the sweep of the rows that are left behind
        all that comes from now on would be orphans. One that was filled must not look as if it were still begun.
        """
        if self.files_to is None:
            await source.give_name(arrival.blob_store_name)
            return
        async with self.files_to.open() as target:
            await target.give_name(arrival.blob_store_name)


def _require_same(left: Mark, arrived: Mark) -> None:
    """Return when the rows that are there are those that were left, as they are now.

    Raises:
        MoveRefused: they are others, or older.
    """
    arrival = arrived.arrival
    if arrival is None or arrival.came_from != left.blob_store_name:
        raise another_registry("database", "--to-database")
    if arrival.last_event != left.newest_event:
        raise MoveRefused(
            "the registry was moved there before, and has changed here since: what is there is older; to move it once "
            "more, empty that database first"
        )


async def _is_waited_for(rows: MetadataStore, lost: Uncopied) -> bool:
    async with rows.reading() as reading:
        file = await reading.packages.file(lost.file.id)
    return file is not None and file.status in WAITED_FOR


async def _declare_lost(rows: Writing, lost: tuple[Uncopied, ...]) -> None:
    """Note them in the transaction that makes the rows those of the target: afterwards nobody would know of them."""
    for one in lost:
        reason = f"it was left behind when the registry was moved: {one.problem}"
        await note_damage(rows, one.file, reason=reason, actor="system", source=WAITED_FOR)
