"""`larder move`: put the use case together, and tell what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from services.maintenance.progress import ProgressLine, human_size, run_to_its_end, tell_of_file
from services.standalone.data_dir import hold_data_dir, require_whole
from shared.backends import is_blob_store_there, open_blobs, open_existing_blobs, open_existing_store, open_store_in
from shared.errors import DatabaseNotEmpty, MetadataDamaged, SchemaUnknown, SettingsInvalid
from shared.ports.moved_rows import Mark
from shared.settings import Settings, read_settings
from shared.usecases.blob_copies import Uncopied
from shared.usecases.move import FilesLost, Move, Moved, RowsTarget
from shared.usecases.move_files import FilesTarget, MoveRefused, another_registry
from shared.whole_databases import (
    arrive_in_snapshot,
    hold_still,
    is_same_database,
    load_snapshot,
    look_at_rows,
    require_empty_database,
    shown_database_url,
)

_DONE = 0
_INCOMPLETE = 1
_WORK = ".move.sqlite3"


@dataclass(frozen=True, slots=True)
class MoveOptions:
    """What the operator wants.

    Args:
        database_url: where the rows go; None: they stay.
        blob_url: where the files go; None: they stay.
        is_ahead: copy files beside the running registry, and nothing else.
        leaves_lost: go on without files that are damaged or gone.
    """

    database_url: str | None
    blob_url: str | None
    is_ahead: bool
    leaves_lost: bool


def move(settings: Settings, target: Settings, options: MoveOptions) -> int:
    """Move the registry, tell what came of it, and return the exit code: 1 when files are damaged or gone.

    Args:
        target: what `target_of` returned.
    """
    with _work_file(settings, options) as work:
        moving = move_between(settings, target, work=work)
        progress = ProgressLine("moved")
        try:
            moved = run_to_its_end(
                moving.ahead(tell=progress.tell)
                if options.is_ahead
                else moving(leaves_lost=options.leaves_lost, tell=progress.tell)
            )
        except FilesLost as error:
            progress.end()
            _tell_of_lost("not moved", error.lost)
            raise
        finally:
            progress.end()
    _tell(moved, target, options)
    return _INCOMPLETE if moved.lost else _DONE


def move_between(settings: Settings, target: Settings, *, work: Path) -> Move:
    """Return the use case that moves what differs between the two.

    Args:
        work: where it may keep a copy of the rows meanwhile.
    """

    async def look_at_target() -> Mark | None:
        try:
            mark = await look_at_rows(target)
            if mark is None:
                await require_empty_database(target)
            return mark
        except (DatabaseNotEmpty, MetadataDamaged) as error:
            raise another_registry("database", "--to-database") from error
        except SchemaUnknown as error:
            raise MoveRefused(
                f"the database of `--to-database` holds schema {error.found}, and this version of Larder needs "
                f"{error.expected}: name an empty one; nothing was changed there"
            ) from error

    return Move(
        look=partial(look_at_rows, settings),
        open_rows=partial(open_existing_store, settings),
        open_blobs=partial(open_existing_blobs, settings),
        hold_still=partial(hold_still, settings),
        rows_to=(
            None
            if target.database_url == settings.database_url
            else RowsTarget(look_at_target, partial(load_snapshot, target))
        ),
        files_to=(
            None
            if target.blob_url == settings.blob_url
            else FilesTarget(partial(is_blob_store_there, target), partial(open_blobs, target))
        ),
        open_snapshot=open_store_in,
        arrive=arrive_in_snapshot,
        work=work,
    )


def target_of(settings: Settings, options: MoveOptions) -> Settings:
    """Return the settings that the registry is to have.

    Raises:
        SettingsInvalid: an option names no such place, or asks for what is not installed.
        MoveRefused: the registry is there already.
    """
    target = settings
    if options.database_url is not None:
        with _named("--to-database"):
            url = read_settings({"LARDER_DATABASE_URL": options.database_url}).database_url
            target = replace(target, database_url=url)
            shown_database_url(target)
        if is_same_database(settings, target):
            raise MoveRefused("the database is there already: leave `--to-database` out")
    if options.blob_url is not None:
        with _named("--to-blobs"):
            target = replace(target, blob_url=read_settings({"LARDER_BLOB_URL": options.blob_url}).blob_url)
            open_blobs(target)
        if target.blob_url == settings.blob_url:
            raise MoveRefused("the files are there already: leave `--to-blobs` out")
    return target


@contextmanager
def _named(option: str) -> Iterator[None]:
    """Let what is wrong with a setting be told of the option that gave it."""
    try:
        yield
    except SettingsInvalid as error:
        _, _, problem = error.problem.partition(" ")
        raise SettingsInvalid(f"{option} {problem}") from None


@contextmanager
def _work_file(settings: Settings, options: MoveOptions) -> Iterator[Path]:
    """Give the place of a file for the rows, in a data directory that is held meanwhile; gone afterwards."""
    work = settings.data_dir / _WORK
    with nullcontext() if options.is_ahead else hold_data_dir(settings.data_dir):
        if not options.is_ahead:
            require_whole(settings.data_dir)
            _remove(work)  # A killed move has left it.
        try:
            yield work
        finally:
            if not options.is_ahead:
                _remove(work)


def _remove(work: Path) -> None:
    for path in work.parent.glob(f"{work.name}*"):
        path.unlink(missing_ok=True)


def _tell(moved: Moved, target: Settings, options: MoveOptions) -> None:
    if moved.is_over:
        print("it was moved there before, and nothing has changed here since")
    elif moved.files is not None:
        print(
            f"moved {moved.files.files} files, {human_size(moved.files.size_bytes)}; "
            f"{moved.files.found_files} were there already"
        )
    _tell_of_lost("damaged" if options.is_ahead else "in error", moved.lost)
    if options.is_ahead and not moved.is_over:
        print("stop the registry, and run the same command without --ahead")
        return
    places = []
    if options.database_url is not None:
        places.append(f"LARDER_DATABASE_URL={shown_database_url(target)}")
    if options.blob_url is not None:
        places.append(f"LARDER_BLOB_URL={target.blob_url}")
    print(f"the registry is there: set {' and '.join(places)}, and start it")


def _tell_of_lost(what: str, lost: tuple[Uncopied, ...]) -> None:
    for one in lost:
        tell_of_file(what, one.file.id, one.file.file_name, one.problem)
