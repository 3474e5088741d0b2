"""How `larder serve` stops: in order, told by whom it may be, and so that nothing is left of it."""

import fcntl
import os
import pty
import signal
import socket
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import LarderStarter
from tests.e2e.processes import (
    CHILDREN,
    START_SECONDS,
    LarderProcess,
    clean_environment,
    larder_command,
    run_larder,
    session_members,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(180)


def test_sigterm_stops_the_apis_then_the_worker_then_redis_and_leaves_nothing(larder: LarderProcess) -> None:
    assert larder.stop() == 0

    assert _stopped(larder) == CHILDREN
    assert [line["exit_code"] for line in larder.events("process.stopped")] == [0, 0, 0, 0]
    _nothing_is_left(larder)
    assert not larder.events("process.died")


@pytest.mark.slow
def test_the_end_of_the_terminal_stops_it_in_order_too(larder: LarderProcess) -> None:
    assert larder.stop(signal.SIGHUP) == 0

    assert _stopped(larder) == CHILDREN
    _nothing_is_left(larder)


@pytest.mark.slow
def test_nohup_keeps_it_running_when_the_terminal_ends(start: LarderStarter) -> None:
    larder = start(command=["nohup", *larder_command("serve")]).wait_until_ready()

    larder.process.send_signal(signal.SIGHUP)

    assert larder.stop(signal.SIGTERM) == 0
    assert [line["signal"] for line in larder.events("supervisor.stopping")] == ["SIGTERM"]


def _own_the_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Where the tests run in the background, it is ignored.


@pytest.mark.slow
def test_ctrl_c_reaches_the_supervisor_alone_which_stops_the_others_in_order(tmp_path: Path) -> None:
    keyboard, terminal = pty.openpty()
    errors = tmp_path / "errors"
    settings = {"DATA_DIR": str(tmp_path / "var"), "PORT": "0", "API_PROCESSES": "2"}
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            larder_command("serve"),
            env=clean_environment(settings),
            stdin=terminal,
            stdout=terminal,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=_own_the_terminal,  # noqa: PLW1509 - it takes no lock
        )
    larder = LarderProcess(process, tmp_path / "var", tmp_path / "screen", errors, settings)
    try:
        with os.fdopen(os.dup(keyboard), encoding="utf-8") as screen:
            larder.output.write_text("".join(iter(screen.readline, "Stop with Ctrl-C.\n")) + "Stop with Ctrl-C.\n")
        larder.wait_until_ready()

        os.write(keyboard, b"\x03")

        assert process.wait(60) == 0
        assert _stopped(larder) == CHILDREN
        assert [line["exit_code"] for line in larder.events("process.stopped")] == [0, 0, 0, 0]
        _nothing_is_left(larder)
    finally:
        larder.end()
        os.close(keyboard)
        os.close(terminal)


@pytest.mark.slow
def test_a_request_in_flight_is_finished_before_the_worker_and_redis_stop(larder: LarderProcess) -> None:
    host, port = "127.0.0.1", int(larder.url.rpartition(":")[2])
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(b"POST /api/v4/groups HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n")
        connection.sendall(f"PRIVATE-TOKEN: {larder.token}\r\n".encode())
        connection.sendall(b"Content-Type: application/json\r\nContent-Length: 30\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        larder.process.terminate()
        wait_for(
            lambda: len(larder.pids("larder api")) == 1,
            what="the idle API process stopped",
            timeout_seconds=START_SECONDS,
        )
        assert larder.pids("larder worker")
        assert larder.pids("redis-server")

        connection.sendall(b'{"name":"late","path":"late"} ')

        assert connection.recv(1024).startswith(b"HTTP/1.1 201 ")
    assert larder.process.wait(60) == 0
    assert _stopped(larder) == CHILDREN


@pytest.mark.slow
def test_a_second_signal_ends_everything_at_once(larder: LarderProcess) -> None:
    host, port = "127.0.0.1", int(larder.url.rpartition(":")[2])
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(b"POST /api/v4/groups HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n")
        connection.sendall(f"PRIVATE-TOKEN: {larder.token}\r\n".encode())
        connection.sendall(b"Content-Type: application/json\r\nContent-Length: 30\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        larder.process.terminate()
        wait_for(
            lambda: len(larder.pids("larder api")) == 1,
            what="the idle API process stopped",
            timeout_seconds=START_SECONDS,
        )

        wait_for(lambda: _terminate_until_killed(larder), what="it stops at once", timeout_seconds=START_SECONDS)

    assert larder.process.wait(60) == 0
    _nothing_is_left(larder)


@pytest.mark.slow
def test_nothing_outlives_a_killed_supervisor_and_the_next_start_succeeds_at_once(start: LarderStarter) -> None:
    first = start().wait_until_ready()
    token, project_id = first.token, first.project_id

    first.kill()
    second = start()

    wait_for(_is_gone(first.process.pid), what="nothing of the first one is left", timeout_seconds=START_SECONDS)
    second.wait_until_ready()
    assert (second.token, second.project_id) == (token, project_id)


@pytest.mark.slow
@pytest.mark.parametrize("event", ["process.started", "database.migrated"])
def test_a_supervisor_killed_while_it_starts_leaves_nothing_either(start: LarderStarter, event: str) -> None:
    larder = start()
    wait_for(lambda: event in larder.errors.read_text(encoding="utf-8"), what=event, timeout_seconds=START_SECONDS)

    larder.kill()

    wait_for(_is_gone(larder.process.pid), what="nothing of it is left", timeout_seconds=START_SECONDS)
    assert run_larder("migrate", {"DATA_DIR": str(larder.data_dir)}).returncode == 0


@pytest.mark.slow
def test_a_stop_while_it_starts_is_orderly(start: LarderStarter) -> None:
    larder = start()
    wait_for(
        lambda: "larder worker" in larder.errors.read_text(encoding="utf-8"),
        what="the worker is started",
        timeout_seconds=START_SECONDS,
    )

    assert larder.stop() == 0

    _nothing_is_left(larder)


def _nothing_is_left(larder: LarderProcess) -> None:
    """Return when nothing of it lives any more: what was killed with it may take a moment."""
    wait_for(_is_gone(larder.process.pid), what="nothing of it is left", timeout_seconds=START_SECONDS)


def _is_gone(session: int) -> Callable[[], bool]:
    return lambda: not session_members(session)


def _stopped(larder: LarderProcess) -> list[str]:
    return [line["child"] for line in larder.events("process.stopped")]


def _terminate_until_killed(larder: LarderProcess) -> bool:
    """Ask again, unless it has understood that it is asked a second time."""
    if larder.events("supervisor.stopping_at_once"):
        return True
    larder.process.terminate()
    return False
