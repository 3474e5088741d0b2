"""The console command `larder`.

The one module besides `backends.py` that imports inside functions: each subcommand loads only what it runs, so that
`larder --help` answers at once.
"""

import argparse
import asyncio
import gc
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from services.standalone.errors import ChildRefused, StartFailed
from shared.errors import (
    BlobStoreUnavailable,
    DatabaseNotEmpty,
    LarderError,
    MetadataDamaged,
    MetadataUnavailable,
    OperatorError,
    QueueUnavailable,
    SchemaUnknown,
    SettingsInvalid,
    StorageFull,
)
from shared.settings import Settings, read_settings

_FAILED = 1
_BAD_SETTINGS = 2
_NOT_CHECKED = 2

_FAULTS: dict[type[Exception], str] = {
    MetadataUnavailable: "the database does not answer: look at LARDER_DATABASE_URL and at the database",
    DatabaseNotEmpty: "there is something in LARDER_DATABASE_URL already, if only a log of SQLite: name an empty place",
    QueueUnavailable: "Redis does not answer: look at LARDER_REDIS_URL and at Redis",
    BlobStoreUnavailable: "the blob store does not answer: look at LARDER_BLOB_URL",
    StorageFull: "the disk is full",
}

_MOVE_FAULTS: dict[type[Exception], str] = {
    MetadataUnavailable: "a database does not answer: look at LARDER_DATABASE_URL and at --to-database",
    DatabaseNotEmpty: "something has come into the database of --to-database meanwhile: name an empty one",
    BlobStoreUnavailable: "a blob store does not answer: look at LARDER_BLOB_URL and at --to-blobs",
}

_EXIT_CODES = """
exit codes:
  0  it did what was asked, or stopped as it was told
  1  it could not start, or could not go on; one line on standard error says why
  2  bad usage, or a LARDER_* variable is unknown or holds a bad value
"""

_LARDER = f"""
Settings are LARDER_* environment variables; README's table lists them all.
{_EXIT_CODES}"""

_SERVE = f"""
Starts, under one supervisor, everything that a registry on one machine needs: an embedded Redis, the API processes and
the worker; before that it migrates the database and makes the administrator `root` and a first project. When the
registry is ready it prints where it is and how to publish to it. What dies is started again. SIGTERM or Ctrl-C stops it
in order: requests in flight are finished, then the running jobs; a second signal stops it at once.

settings that matter here:
  LARDER_HOST, LARDER_PORT  where to listen (127.0.0.1, 8080)
  LARDER_DATA_DIR           where everything is kept (./var); one `larder serve` at a time
  LARDER_ROOT_TOKEN         the administrator's token; when unset it is made and kept in the data directory
  LARDER_API_PROCESSES      how many API processes (one for each processor)
  LARDER_REDIS_URL          a Redis of your own instead of the embedded one
{_EXIT_CODES}"""

_API = f"""
Runs one API process on a migrated database, for those who run the parts apart. SIGTERM drains it.

settings that matter here:
  LARDER_HOST, LARDER_PORT  where to listen (127.0.0.1, 8080)
  LARDER_DATABASE_URL, LARDER_BLOB_URL, LARDER_REDIS_URL
                            the same for every process of one registry; the Redis must be set
  LARDER_EXTERNAL_URL, LARDER_TRUSTED_PROXIES
                            behind a proxy
{_EXIT_CODES}"""

_WORKER = f"""
Runs one worker on a migrated database, for those who run the parts apart: it checks what was uploaded and carries out
deletes. SIGTERM lets the running jobs finish. When Redis goes away it waits until it is there again.

settings that matter here:
  LARDER_DATABASE_URL, LARDER_BLOB_URL, LARDER_REDIS_URL
                            the same for every process of one registry; the Redis must be set
  LARDER_UPLOAD_CHECKS      how closely an upload is looked at (strict)
{_EXIT_CODES}"""

_MIGRATE = f"""
Brings the database to the schema of this version, and makes the administrator `root`, its token and the first project
where they are missing. Running it again changes nothing. `larder serve` does the same by itself.

settings that matter here:
  LARDER_DATABASE_URL       the database (SQLite in the data directory)
  LARDER_ROOT_TOKEN         the administrator's token; when unset it is made and kept in the data directory
{_EXIT_CODES}"""

_CHECK = """
Compares the database with the stored files, and each with itself, beside a running registry or without one: files whose
bytes are gone or have changed, blobs without a file, pieces of uploads, files that wait for too long, packages without
files, stored METADATA, the database itself. It prints one line for each finding, and changes nothing unless it is told
to. With --repair it takes damaged files from their readers (upload them again to put them back), removes what nobody
needs, and says what it cannot mend.

settings that matter here:
  LARDER_DATA_DIR           where everything is (./var)
  LARDER_DATABASE_URL, LARDER_BLOB_URL
                            where they are somewhere else
  LARDER_UPLOAD_MAX_SECONDS the same as the registry's: until when a blob may still get a row

exit codes:
  0  there is nothing to find, or nothing that is left to mend
  1  there are findings
  2  it could not be checked; one line on standard error says why
"""

_BACKUP = """
Makes one consistent copy of a registry, beside a running one or without one: all rows as of one instant, and the bytes
of every file that these name, each compared with its digest. While it runs, nothing is removed from the disk; uploads,
downloads and deletes go on. DIR appears when it is whole, and not before. It holds digests of all tokens, and the
administrator's token where the data directory does: keep it as safe.

settings that matter here:
  LARDER_DATA_DIR           what is backed up (./var)
  LARDER_DATABASE_URL, LARDER_BLOB_URL
                            where they are somewhere else; PostgreSQL is backed up, too

exit codes:
  0  the backup is there, with everything
  1  there is none, or files are missing from it that were damaged before; lines on standard error say why, or which
  2  bad usage, or a LARDER_* variable is unknown or holds a bad value
"""

_RESTORE = """
Brings a backup back into an empty data directory (or an empty PostgreSQL, whatever the backup was made of), compares
every file with its digest, and brings the database up to this version. A backup of a newer version is refused. What
fails or is stopped leaves nothing behind.

settings that matter here:
  LARDER_DATA_DIR           where to restore to (./var); it must be empty, or not be there
  LARDER_DATABASE_URL, LARDER_BLOB_URL
                            where they are to be somewhere else; empty, too

exit codes:
  0  everything is there
  1  nothing was restored, or files are in error that the backup has not; lines on standard error say why, or which
  2  bad usage, or a LARDER_* variable is unknown or holds a bad value
"""

_MOVE = """
Moves a registry to other stores: its rows (SQLite, PostgreSQL), its files (a disk, S3), or both, in either direction.
Each file is compared with its digest on the way; the rows come last, and whole or not at all. Stop all processes of the
registry first: where one is still running, nothing is moved. With --ahead files are copied while it serves, so that the
move itself has only the rest to do. What was stopped or killed goes on when the same command is run again. Nothing is
removed from where the registry was; do not start it there again.

settings that matter here:
  LARDER_DATA_DIR           where the registry is (./var); a copy of the rows lies here meanwhile
  LARDER_DATABASE_URL, LARDER_BLOB_URL
                            where it is, if somewhere else; afterwards set them to where it was moved to

A password in --to-database can be left out of the URL: PGPASSWORD or ~/.pgpass have it, too.

exit codes:
  0  it is there, with everything; or the files are that there were, with --ahead
  1  it was not moved, or files are in error that were damaged before; lines on standard error say why, or which
  2  bad usage, or a LARDER_* variable is unknown or holds a bad value
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: without the program's name; None: those of this process.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.version:
        print(_version())
        return 0
    if options.command is None:
        parser.print_help(sys.stderr)
        return _BAD_SETTINGS
    run: Callable[[Settings, argparse.Namespace], int | None] = options.run
    os.umask(0o077)
    gc.disable()  # Until all is loaded: nothing of that is garbage, and to look for some is a seventh of the start.
    try:
        return run(read_settings(os.environ), options) or 0
    except KeyboardInterrupt:
        return _FAILED
    except (ExceptionGroup, LarderError, StartFailed, ChildRefused, OSError) as error:
        told = _explain(_first(error))
        if told is None:
            raise
        exit_code, problem = told
        _finish_log()
        print(f"larder: {problem}", file=sys.stderr)
        return exit_code
    finally:
        gc.enable()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="larder",
        description="A Python package registry that speaks GitLab's API.",
        epilog=_LARDER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, run, summary, text in (
        ("serve", _serve, "run a whole registry on this machine", _SERVE),
        ("api", _api, "run one API process", _API),
        ("worker", _worker, "run one worker", _WORKER),
        ("migrate", _migrate, "prepare the database", _MIGRATE),
        ("check", _check, "compare the database with the stored files, and mend", _CHECK),
        ("backup", _backup, "copy a registry while it serves", _BACKUP),
        ("restore", _restore, "bring a backup back", _RESTORE),
        ("move", _move, "move a registry to other stores", _MOVE),
    ):
        description, _, epilog = text.partition("\n\n")
        command = commands.add_parser(
            name,
            help=summary,
            description=description.strip(),
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        if name == "check":
            command.add_argument("--full", action="store_true", help="read every byte; without it, compare sizes")
            command.add_argument("--repair", action="store_true", help="mend what can be mended")
            command.add_argument("--json", action="store_true", help="print one JSON object")
        if name == "backup":
            command.add_argument("place", type=Path, metavar="DIR", help="the backup: a directory that is not there")
        if name == "restore":
            command.add_argument("place", type=Path, metavar="BACKUP", help="a directory that `larder backup` wrote")
        if name == "move":
            command.add_argument("--to-database", metavar="URL", help="where the rows go; left out: they stay")
            command.add_argument("--to-blobs", metavar="URL", help="where the files go; left out: they stay")
            command.add_argument("--ahead", action="store_true", help="copy files while the registry serves; no more")
            command.add_argument(
                "--without-damaged", action="store_true", help="leave files behind that are damaged or gone"
            )
        if name == "api":
            command.add_argument(
                "--fd", type=int, metavar="N", help="serve the listening socket that was inherited as this descriptor"
            )
    return parser


def _serve(settings: Settings, _: argparse.Namespace) -> None:
    from services.standalone.supervisor import serve

    _begin(settings, "supervisor", title="larder serve")
    serve(settings, os.environ)


def _api(settings: Settings, options: argparse.Namespace) -> None:
    from services.api.__main__ import serve

    _begin(settings, "api", title="larder api")
    listener = None if options.fd is None else socket.socket(fileno=options.fd)
    asyncio.run(serve(settings, socket=listener))


def _worker(settings: Settings, _: argparse.Namespace) -> None:
    from services.worker.__main__ import serve

    _begin(settings, "worker", title="larder worker")
    asyncio.run(serve(settings))


def _migrate(settings: Settings, _: argparse.Namespace) -> None:
    from services.standalone.data_dir import hold_data_dir, require_whole
    from services.standalone.first_start import prepare_database

    _begin(settings, "migrate", title="larder migrate")
    uses_data_dir = settings.root_token is None or settings.database_url.startswith("sqlite:")
    with hold_data_dir(settings.data_dir) if uses_data_dir else nullcontext():
        require_whole(settings.data_dir)
        asyncio.run(prepare_database(settings))


def _check(settings: Settings, options: argparse.Namespace) -> int:
    from services.maintenance.check import CheckOptions, check

    _begin(settings, "check", title="larder check")
    try:
        return check(settings, CheckOptions(is_full=options.full, repairs=options.repair, as_json=options.json))
    except (ExceptionGroup, LarderError, OSError) as error:
        told = _explain(_first(error))
        if told is None:
            raise
        print(f"larder: {told[1]}", file=sys.stderr)
        return _NOT_CHECKED


def _backup(settings: Settings, options: argparse.Namespace) -> int:
    from services.maintenance.copies import back_up

    _begin(settings, "backup", title="larder backup")
    return back_up(settings, options.place, version=_version())


def _restore(settings: Settings, options: argparse.Namespace) -> int:
    from services.maintenance.copies import restore

    _begin(settings, "restore", title="larder restore")
    return restore(settings, options.place)


def _move(settings: Settings, options: argparse.Namespace) -> int:
    from services.maintenance.move import MoveOptions, move, target_of

    if options.to_database is None and options.to_blobs is None:
        raise SettingsInvalid("say where to: --to-database, --to-blobs, or both")
    wanted = MoveOptions(
        database_url=options.to_database,
        blob_url=options.to_blobs,
        is_ahead=options.ahead,
        leaves_lost=options.without_damaged,
    )
    target = target_of(settings, wanted)
    _begin(settings, "move", title="larder move")
    try:
        return move(settings, target, wanted)
    except (ExceptionGroup, MetadataUnavailable, BlobStoreUnavailable, DatabaseNotEmpty) as error:
        told = _MOVE_FAULTS.get(type(_first(error)))
        if told is None:
            raise
        raise OperatorError(told) from error


def _begin(settings: Settings, process: str, *, title: str) -> None:
    """Give this process its log and the name that `ps` shows, now that it has loaded what it needs."""
    from setproctitle import setproctitle

    from shared.log import configure_logging

    gc.freeze()  # What is loaded stays, so no collection needs to look at it again, which would hold up requests.
    gc.enable()
    setproctitle(title)
    configure_logging(settings.log_format, process=process)


def _finish_log() -> None:
    """Have all that was logged written before what is said last."""
    from shared.log import finish_logging

    finish_logging()


def _first(error: Exception) -> Exception:
    """Return the error, or the first one in a group of groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _explain(error: Exception) -> tuple[int, str] | None:
    """Return the exit code and the line for the operator; None for what nobody foresaw."""
    match error:
        case SettingsInvalid():
            return _BAD_SETTINGS, error.problem
        case ChildRefused():
            return _BAD_SETTINGS, f"{error.name} refuses its settings each time it starts; its own lines above say why"
        case StartFailed() | OperatorError():
            return _FAILED, error.problem
        case SchemaUnknown(found=None):
            return _FAILED, "the database is empty: run `larder migrate` first"
        case SchemaUnknown():
            return _FAILED, (
                f"the database holds schema {error.found} and this version of Larder needs {error.expected}: "
                "`larder migrate` brings up an older one; a newer one needs a newer Larder"
            )
        case MetadataDamaged():
            return _FAILED, f"the database cannot be read ({error}): it is damaged; put a backup in its place"
        case OSError():
            return _FAILED, str(error)
    told = _FAULTS.get(type(error))
    return None if told is None else (_FAILED, told)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"larder {version('larder')}"
    except PackageNotFoundError:
        return "larder (not installed: running from its source)"


if __name__ == "__main__":
    sys.exit(main())
