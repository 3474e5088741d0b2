"""Tell on standard error how far long work has come, and end it in order when it is told to stop."""

import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from shared.usecases.blob_copies import Progress

T = TypeVar("T")

_ON_A_TERMINAL_SECONDS = 0.2
_ELSEWHERE_SECONDS = 10.0
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class ProgressLine:
    """One line that is written over on a terminal; elsewhere a line now and then, and none for what is quick.

    Args:
        verb: what is being done: "copied".
    """

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._is_terminal = sys.stderr.isatty()
        self._told_at = time.monotonic()
        self._is_open = False

    def tell(self, progress: Progress) -> None:
        """Tell it, unless something was told just now."""
        now = time.monotonic()
        if now - self._told_at < (_ON_A_TERMINAL_SECONDS if self._is_terminal else _ELSEWHERE_SECONDS):
            return
        self._told_at = now
        line = (
            f"larder: {self._verb} {progress.files_done:,} of {progress.files:,} files, "
            f"{human_size(progress.bytes_done)} of {human_size(progress.size_bytes)}"
        )
        if self._is_terminal:
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
            self._is_open = True
        else:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line that was written over."""
        if self._is_open:
            print(file=sys.stderr, flush=True)
            self._is_open = False


def human_size(size_bytes: int) -> str:
    """Return a size for people: "3.2 GiB"."""
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size_bytes} bytes"


def one_line(text: str) -> str:
    """Return the text without what would break the line, or play with a terminal: file names are anybody's."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def tell_of_file(what: str, file_id: int, file_name: str, problem: str) -> None:
    """Tell what is wrong with a file."""
    print(one_line(f"larder: {what}: package_file:{file_id} {file_name}: {problem}"), file=sys.stderr)


def run_to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Run work that cleans up after itself; Ctrl-C and SIGTERM cancel it.

    Raises:
        KeyboardInterrupt: it was cancelled, and has cleaned up.
    """

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
