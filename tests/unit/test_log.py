"""What a process writes down of itself, line by line."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from shared.log import configure_logging
from shared.settings import LogFormat


class Full(io.RawIOBase):
    """A device that takes nothing any more."""

    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_our_lines_and_those_of_libraries_are_objects_with_the_same_keys(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogFormat.JSON, process="api")
    structlog.contextvars.bind_contextvars(request_id="7")
    structlog.get_logger().info("request.finished", seconds=0.5, what=LogFormat, text="é\udc80")
    structlog.get_logger().debug("never")
    logging.getLogger("library").warning("it says %s", "so")
    ours, theirs = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    common = {"request_id", "level", "timestamp", "process", "event"}
    assert ours.keys() == common | {"seconds", "what", "text"}
    assert theirs.keys() == common
    assert (ours["event"], ours["text"], ours["process"], ours["level"]) == (
        "request.finished",
        "é\udc80",
        "api",
        "info",
    )
    assert (theirs["event"], theirs["level"]) == ("it says so", "warning")


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_failure_is_told_with_its_stack(log_format: LogFormat, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format, process="api")
    try:
        raise LookupError("who knows")
    except LookupError:
        structlog.get_logger().exception("request.failed")
    assert "LookupError: who knows" in capfd.readouterr().err


def test_a_line_that_cannot_be_written_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Full())))
    configure_logging(LogFormat.JSON, process="api")
    structlog.get_logger().info("request.finished")
    monkeypatch.undo()
