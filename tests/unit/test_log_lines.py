"""Log lines on their way: together, in order, and without holding up whoever writes them."""

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from shared.log import configure_logging
from shared.log_lines import StandardErrorLines
from shared.settings import LogFormat
from tests.unit.test_log import _logging_as_it_was
from tests.waiting import eventually

__all__ = ["_logging_as_it_was"]

_ROOT = Path(__file__).parents[2]
_PAGE = 4096


@contextmanager
def narrow_pipe(pages: int = 1) -> Iterator[int]:
    """Make standard error a pipe that holds so many pages, which nobody reads but the test.

    No fixture: between those and the test, standard error is changed again.
    """
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, pages * _PAGE)
    os.set_blocking(reading, False)
    with os.fdopen(writing, "w") as file, pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stderr", file)
        yield reading
    os.close(reading)


def taken(reading: int) -> bytes:
    """Return what the pipe holds."""
    try:
        return os.read(reading, 64 * _PAGE)
    except BlockingIOError:
        return b""


async def read_until(reading: int, text: bytes) -> list[bytes]:
    """Read until the text has come; return all lines."""
    found = bytearray()

    async def has_come() -> bool:
        found.extend(taken(reading))
        return text in found

    await eventually(has_come, what="the line", timeout_seconds=20)
    return bytes(found).splitlines()


async def test_a_full_pipe_holds_nobody_up_and_loses_nothing() -> None:
    with narrow_pipe() as reading:
        lines = StandardErrorLines()
        sent = [b"%06d %s\n" % (number, b"x" * 100) for number in range(1000)]
        for line in sent:
            lines.add([line])
        lines.urgent("the last")
        assert [*(line.rstrip() for line in sent), b"the last"] == await read_until(reading, b"the last\n")


async def test_lines_that_nobody_takes_are_counted_and_told_of() -> None:
    with narrow_pipe(64) as reading:
        configure_logging(LogFormat.JSON, process="api")
        log = structlog.get_logger()
        for number in range(2200):
            log.info("much", number=number, text="x" * 2000)
        lines = [json.loads(line) for line in await read_until(reading, b'"log.lines_lost"')]
        kept = [line["number"] for line in lines if line["event"] == "much"]
        assert 1500 < len(kept) < 2200
        assert kept == list(range(len(kept)))
        assert [line["count"] for line in lines if line["event"] == "log.lines_lost"] == [2200 - len(kept)]


async def test_lines_are_written_together_and_what_is_bad_at_once() -> None:
    with narrow_pipe() as reading:
        lines = StandardErrorLines()
        lines.msg("one")
        lines.msg("two")
        assert taken(reading) == b""
        assert await read_until(reading, b"two") == [b"one", b"two"]
        lines.info("three")
        lines.error("four")
        assert taken(reading) == b"three\nfour\n"
        await asyncio.to_thread(lines.msg, "five")
        assert taken(reading) == b"five\n"


def test_outside_of_a_loop_lines_are_written_at_once_after_those_of_the_loop() -> None:
    with narrow_pipe() as reading:
        lines = StandardErrorLines()

        async def tell() -> None:
            lines.msg("inside")

        loop = asyncio.new_event_loop()
        loop.run_until_complete(tell())
        loop.close()
        lines.msg("outside")
        assert taken(reading) == b"inside\noutside\n"


_TELLS_AND_ENDS = """
import asyncio, structlog
from shared.log import configure_logging
from shared.settings import LogFormat
async def tell():
    for number in range(500):
        structlog.get_logger().info("told", number=number)
    {end}
configure_logging(LogFormat.JSON, process="api")
asyncio.run(tell())
"""


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(0)", "raise LookupError"])
def test_a_process_that_ends_has_told_everything(end: str) -> None:
    command = [sys.executable, "-c", _TELLS_AND_ENDS.format(end=end)]
    told = subprocess.run(command, cwd=_ROOT, capture_output=True, check=False, timeout=60).stderr
    numbers = [json.loads(line)["number"] for line in told.splitlines() if line.startswith(b"{")]
    assert numbers == list(range(500))


def test_a_form_is_the_line_as_it_is_written_otherwise(capfd: pytest.CaptureFixture[str]) -> None:
    lines = configure_logging(LogFormat.JSON, process="api")
    assert lines is not None
    fields = {"route": "/%s/{é}", "client": "192.0.2.7", "seconds": 0.25, "principal": None}
    with structlog.contextvars.bound_contextvars(request_id="7"):
        structlog.get_logger().info("request.finished", **fields)
    written = capfd.readouterr().err
    form = lines.form("request.finished", fields, new={"client": '"%b"', "seconds": "%.6f"})
    timestamp = json.loads(written)["timestamp"].encode()
    filled = (form % (b"192.0.2.7", 0.25, b"7", timestamp)).decode()
    assert filled == written.replace("0.25", "0.250000")


def test_for_people_there_are_no_forms() -> None:
    assert configure_logging(LogFormat.CONSOLE, process="api") is None
