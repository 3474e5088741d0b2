"""One supervised process: started again with patience, stopped for good, and never half gone."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.standalone.child import Child, Program, delay_before_restart, running
from services.standalone.errors import ChildRefused
from tests.waiting import eventually

_IGNORES_SIGTERM = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
open(sys.argv[1], "w").write(str(grandchild.pid) + "\\n")
signal.pause()
"""


def _program(*arguments: str, patience_seconds: float = 30.0) -> Program:
    return Program(
        name="larder test",
        arguments=arguments,
        environment=dict(os.environ),
        pass_fds=(),
        patience_seconds=patience_seconds,
    )


def _python(code: str, *arguments: str, patience_seconds: float = 30.0) -> Program:
    return _program(sys.executable, "-c", code, *arguments, patience_seconds=patience_seconds)


@asynccontextmanager
async def _deaths(child: Child, number: int) -> AsyncIterator[None]:
    """Run the child until it died so often."""
    async with asyncio.timeout(120), running(child):
        await _until(lambda: child.deaths >= number, what=f"{number} deaths")
        yield


def _named(logs: list[Any], event: str) -> list[Any]:
    return [line for line in logs if line["event"] == event]


async def test_what_dies_is_started_again_after_ever_longer_pauses() -> None:
    child = Child(_program("sh", "-c", "exit 7"))  # Whose life is short, or a busy machine makes it look healthy.

    with capture_logs() as logs:
        async with _deaths(child, 4):
            pass

    assert [line["exit_code"] for line in _named(logs, "process.died")][:4] == [7, 7, 7, 7]
    assert [line["delay_seconds"] for line in _named(logs, "process.restarting")][:3] == [0.1, 0.2, 0.4]


def test_pauses_double_up_to_five_seconds_and_begin_anew_after_a_healthy_minute() -> None:
    delays = [delay_before_restart(None, lived_seconds=0)]
    while len(delays) < 9:
        delays.append(delay_before_restart(delays[-1], lived_seconds=1.9))

    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert delay_before_restart(5.0, lived_seconds=60.0) == 0.1
    assert delay_before_restart(0.2, lived_seconds=4.0) == 0.1


async def test_a_child_that_refuses_its_settings_five_times_in_a_row_is_given_up() -> None:
    child = Child(_python("raise SystemExit(2)"))

    with pytest.raises(ExceptionGroup) as failure:
        async with asyncio.timeout(120), running(child):
            await asyncio.Event().wait()

    (error,) = failure.value.exceptions
    assert isinstance(error, ChildRefused)
    assert error.name == "larder test"


async def test_a_signal_that_ended_it_is_named_in_the_log() -> None:
    child = Child(_python("import os; os.kill(os.getpid(), 9)"))

    with capture_logs() as logs:
        async with _deaths(child, 1):
            pass

    assert _named(logs, "process.died")[0]["signal"] == "SIGKILL"


async def test_a_program_that_is_missing_is_tried_again_too(tmp_path: Path) -> None:
    child = Child(_program(str(tmp_path / "missing")))

    with capture_logs() as logs:
        async with _deaths(child, 2):
            pass

    assert _named(logs, "process.unstartable")[0]["error"] == (
        f"[Errno 2] No such file or directory: '{tmp_path}/missing'"
    )


async def test_what_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    child = Child(_python(_IGNORES_SIGTERM, str(note), patience_seconds=0.2))

    with capture_logs() as logs:
        async with asyncio.timeout(120), running(child):
            grandchild = await _pid_in(note)

    assert [line["event"] for line in logs] == ["process.started", "process.killed", "process.stopped"]
    assert logs[-1]["signal"] == "SIGKILL"
    await _is_gone(grandchild)


async def test_what_a_dead_child_had_started_is_not_left_behind(tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    child = Child(_python(_IGNORES_SIGTERM.replace("signal.pause()\n", "", 1), str(note)))

    async with _deaths(child, 1):
        await _is_gone(await _pid_in(note))


async def test_an_error_in_the_block_stops_the_children_before_it_is_seen() -> None:
    child = Child(_python("import signal; signal.pause()"))

    async def fail() -> None:
        async with asyncio.timeout(120), running(child):
            await _until(lambda: bool(logs), what="it is started")
            raise ValueError

    with capture_logs() as logs, pytest.raises(ExceptionGroup):
        await fail()

    assert [line["event"] for line in logs] == ["process.started", "process.stopped"]


async def test_a_stop_right_at_the_start_leaves_no_process_behind() -> None:
    child = Child(_python("import signal; signal.pause()"))

    with capture_logs() as logs:
        async with asyncio.timeout(120), running(child):
            pass

    started, stopped = _named(logs, "process.started"), _named(logs, "process.stopped")
    assert [line["pid"] for line in started] == [line["pid"] for line in stopped]


async def test_it_gets_its_environment_and_descriptors_and_no_others(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    code = "import os; os.write(int(os.environ['FD']), ' '.join(sorted(os.environ)).encode())"
    program = Program(
        name="larder test",
        arguments=(sys.executable, "-c", code),
        environment={"FD": str(writing), "LC_ALL": "C.UTF-8"},
        pass_fds=(writing,),
        patience_seconds=30.0,
    )

    async with _deaths(Child(program), 1):
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as file:
            text = file.read()

    assert text.startswith("FD LC_ALL")


async def _pid_in(note: Path) -> int:
    await _until(lambda: note.exists() and note.read_text(encoding="utf-8").endswith("\n"), what="a process id")
    return int(note.read_text(encoding="utf-8"))


async def _is_gone(pid: int) -> None:
    """Wait until the process is dead; a zombie that nobody has reaped yet is dead, too."""
    await _until(lambda: _state(pid) in ("", "Z", "X"), what=f"process {pid} is dead")


async def _until(claim: Callable[[], bool], *, what: str) -> None:
    async def holds() -> bool:
        return claim()

    await eventually(holds, what=what, timeout_seconds=60)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
