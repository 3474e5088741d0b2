"""Fault points inside the processes of a registry. Python loads this by itself where PYTHONPATH names its directory.

It wraps seams of the code from outside, so that no module of the registry knows of it. Each time a process passes a
point, it looks whether a test has switched that point on (`tests/faults/switches.py`), and does what the switch says:

    kill            SIGKILL itself
    kill <pid>      SIGKILL another process, wait until it is gone, and go on
    stop            SIGSTOP itself, until somebody sends SIGCONT
    raise <errno>   raise that OSError here

To add a point, add a line to SEAMS: the module, the class, the method, and the name of the seam. A seam `x` has the
points `x:before` and `x:after` (that one only when the call succeeded). A method that makes one transaction of its own
can be named in TRANSACTIONS instead or as well: then `x.commit:before` and `x.commit:after` lie around its commit.
"""

import errno
import functools
import importlib.machinery
import inspect
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.faults.inside.clock import CLOCK_VARIABLE, install

SWITCHES_VARIABLE = "FAULT_SWITCHES"
"""Names the directory of the switches; without it this module does nothing."""

Seam = tuple[str, str, str]
"""Class, method, name of the seam. A name with `{job}` gets the kind of the job in the first argument."""

SEAMS: dict[str, list[Seam]] = {
    "shared.blobs.gathering": [
        ("GatheringWriter", "write", "blob.write"),
        ("GatheringWriter", "commit", "blob.commit"),
    ],
    "shared.blobs.unfinished": [
        # Before: the bytes are synced and have no name. After: the name is not synced yet.
        ("NamelessFile", "_link", "blob.link"),
        ("PartFile", "_link", "blob.link"),
    ],
    # S3 shows a blob with its last request.
    "shared.blobs.s3.writer": [("S3BlobWriter", "_finish", "blob.link")],
    "shared.blobs.local": [("LocalBlobStore", "delete", "blob.delete")],
    "shared.blobs.s3.store": [("S3BlobStore", "delete", "blob.delete")],
    "shared.queue.arq_queue": [
        ("ArqJobQueue", "enqueue", "enqueue.{job}"),
        ("ArqJobQueue", "announce", "announce"),
    ],
    "shared.usecases.upload": [("UploadPackageFile", "__call__", "upload")],
    "shared.usecases.process": [
        ("ProcessPackageFile", "__call__", "process"),
        ("ProcessPackageFile", "_examine", "examine"),
    ],
    "shared.usecases.destroy": [
        ("DeletePackage", "__call__", "delete_package"),
        ("DeletePackageFile", "__call__", "delete_file"),
        ("DestroyPackageFile", "__call__", "destroy"),
    ],
    "shared.metadata.package_writes": [
        ("SqlPackageWrites", "remove_file", "remove_file_row"),
        ("SqlPackageWrites", "remove_package_if_empty", "remove_package_row"),
    ],
}
TRANSACTIONS: dict[str, list[Seam]] = {
    "shared.usecases.upload": [
        ("UploadPackageFile", "_admit", "admit"),
        ("UploadPackageFile", "_withdraw", "withdraw"),
    ],
    "shared.usecases.process": [
        ("ProcessPackageFile", "_take_lease", "lease"),
        ("ProcessPackageFile", "_write", "verdict"),
    ],
    "shared.usecases.destroy": [
        ("DeletePackage", "__call__", "delete_package"),
        ("DeletePackageFile", "__call__", "delete_file"),
        ("DestroyPackageFile", "_remove_rows", "destroy"),
    ],
    "shared.usecases.sweep": [("Sweep", "_try_again", "next_attempt")],
}
_COMMITS = {"shared.metadata.transaction": ("Transaction", "commit")}

_JOBS = {"ProcessPackageFileJob": "process", "DestroyPackageFileJob": "destroy"}
_transaction: ContextVar[str | None] = ContextVar("fault_transaction", default=None)

Function = Callable[..., Any]


class _Points:
    """The switches of one directory: `armed/<point>/<n>` ... `armed/<point>/1`, of which each passage takes one."""

    def __init__(self, directory: Path) -> None:
        self._armed = directory / "armed"
        self._fired = directory / "fired"

    def pass_by(self, point: str) -> None:
        """Do what the switch of this point says, if it is on and this is the passage that it waits for."""
        place = self._armed / point
        try:
            waiting = sorted(map(int, os.listdir(place)), reverse=True)  # noqa: PTH208 - loaded before all else
        except FileNotFoundError:
            return
        for number in waiting:
            try:
                if number > 1:
                    (place / str(number)).unlink()
                    return
                fired = self._fired / f"{point}.{os.getpid()}"
                (place / "1").rename(fired)  # Only one process can do that, so it happens once.
            except FileNotFoundError:
                continue  # Another process has just taken this one.
            _act(fired.read_text(encoding="ascii").split())
            return


def _act(words: list[str]) -> None:
    match words:
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["kill", pid]:
            _kill_other(int(pid))
        case ["stop"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        case ["raise", number]:
            raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))
        case _:
            raise SystemExit(f"unknown fault: {words}")


def _kill_other(pid: int) -> None:
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([ended], [], [], 10)
    os.close(ended)
    if pid == os.getppid() or os.getppid() == 1:
        # The supervisor: this process dies with it, in a moment that must not be used.
        os.kill(os.getpid(), signal.SIGKILL)


class _Instrumenting(MetaPathFinder):
    """Wraps the seams of a module right after it was loaded."""

    def __init__(self, points: _Points) -> None:
        self._points = points

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in SEAMS and name not in TRANSACTIONS and name not in _COMMITS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_wrap(module: ModuleType) -> None:
            load(module)
            self._wrap(module)

        spec.loader.exec_module = load_and_wrap  # type: ignore[method-assign]  # of this one loader
        return spec

    def _wrap(self, module: ModuleType) -> None:
        for class_name, method, seam in TRANSACTIONS.get(module.__name__, []):
            _replace(module, class_name, method, functools.partial(self._as_transaction, seam))
        for class_name, method, seam in SEAMS.get(module.__name__, []):
            _replace(module, class_name, method, functools.partial(self._around, _always(seam)))
        if module.__name__ in _COMMITS:
            _replace(module, *_COMMITS[module.__name__], functools.partial(self._around, _commit_of_transaction))

    def _around(self, seam_of: Callable[[tuple[Any, ...]], str | None], function: Function) -> Function:
        @contextmanager
        def passing(arguments: tuple[Any, ...]) -> Iterator[None]:
            seam = seam_of(arguments)
            if seam is not None:
                seam = seam.replace("{job}", _JOBS.get(type(arguments[-1]).__name__, ""))
                self._points.pass_by(f"{seam}:before")
            yield
            if seam is not None:
                self._points.pass_by(f"{seam}:after")

        return _wrapped(function, passing)

    def _as_transaction(self, seam: str, function: Function) -> Function:
        @contextmanager
        def within(_: tuple[Any, ...]) -> Iterator[None]:
            before = _transaction.set(f"{seam}.commit")
            try:
                yield
            finally:
                _transaction.reset(before)

        return _wrapped(function, within)


def _always(seam: str) -> Callable[[tuple[Any, ...]], str | None]:
    return lambda _: seam


def _commit_of_transaction(_: tuple[Any, ...]) -> str | None:
    return _transaction.get()


def _wrapped(function: Function, context: Callable[[tuple[Any, ...]], Any]) -> Function:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapped(*arguments: Any, **named: Any) -> Any:
            with context(arguments):
                return await function(*arguments, **named)
    else:

        @functools.wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            with context(arguments):
                return function(*arguments, **named)

    return wrapped


def _replace(module: ModuleType, class_name: str, method: str, wrap: Callable[[Function], Function]) -> None:
    owner = getattr(module, class_name)
    setattr(owner, method, wrap(owner.__dict__[method]))


if SWITCHES_VARIABLE in os.environ:
    sys.meta_path.insert(0, _Instrumenting(_Points(Path(os.environ[SWITCHES_VARIABLE]))))
if CLOCK_VARIABLE in os.environ:
    install(Path(os.environ[CLOCK_VARIABLE]))
