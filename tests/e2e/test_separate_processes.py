"""`larder migrate`, `larder api` and `larder worker` as those meet them who run the parts apart."""

import asyncio
import ctypes
import signal
import stat
import subprocess
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.blob_keys import new_blob_key
from tests.backends import run_apart
from tests.e2e.processes import START_SECONDS, clean_environment, larder_command, run_larder
from tests.engines import engines_of
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.rows import execute
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(180)

_TOKEN = "configured-token-of-the-operator"


@pytest.mark.slow
def test_migrate_makes_the_database_and_a_private_token_and_says_neither(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"

    first = run_larder("migrate", {"DATA_DIR": str(data_dir)})
    token = (data_dir / "root-token").read_text(encoding="ascii")
    second = run_larder("migrate", {"DATA_DIR": str(data_dir)})

    assert (first.returncode, second.returncode) == (0, 0)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((data_dir / "root-token").stat().st_mode) == 0o600
    assert (data_dir / "root-token").read_text(encoding="ascii") == token
    assert token.strip() not in first.stdout + first.stderr + second.stdout + second.stderr
    assert "database.migrated" in first.stderr
    assert "database.migrated" not in second.stderr


@pytest.mark.slow
def test_an_existing_data_directory_keeps_its_mode(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    data_dir.mkdir()
    data_dir.chmod(0o750)

    assert run_larder("migrate", {"DATA_DIR": str(data_dir)}).returncode == 0

    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o750


@pytest.mark.slow
def test_a_token_file_without_a_token_is_told_in_one_line(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    data_dir.mkdir()
    (data_dir / "root-token").write_text("short\n", encoding="ascii")

    refused = run_larder("migrate", {"DATA_DIR": str(data_dir)})

    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        f"larder: {data_dir}/root-token holds no token of 20 characters or more: remove it to get a new one"
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_schema_of_a_newer_version_is_left_alone_and_told_in_one_line(tmp_path: Path, command: str) -> None:
    settings = {"DATA_DIR": str(tmp_path / "var"), "PORT": "0"}
    assert run_larder("migrate", settings).returncode == 0
    url = engines_of(tmp_path / "var").database_url
    ((known,),) = run_apart(execute(url, "SELECT version_num FROM alembic_version"))
    run_apart(execute(url, "UPDATE alembic_version SET version_num = 'newer'"))

    refused = run_larder(command, settings)

    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        f"larder: the database holds schema newer and this version of Larder needs {known}: "
        "`larder migrate` brings up an older one; a newer one needs a newer Larder"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "content", "problem"),
    [
        ("migrate", b"this is no database" * 1000, "file is not a database"),
        ("serve", b"this is no database" * 1000, "file is not a database"),
        ("migrate", None, "database disk image is malformed"),
    ],
    ids=["no database, migrate", "no database, serve", "cut short"],
)
@pytest.mark.embedded("damages SQLite's file")
def test_a_damaged_database_is_left_alone_and_told_in_one_line(
    tmp_path: Path, command: str, content: bytes | None, problem: str
) -> None:
    settings = {"DATA_DIR": str(tmp_path / "var"), "PORT": "0"}
    assert run_larder("migrate", settings).returncode == 0
    database = tmp_path / "var" / "larder.sqlite3"
    database.write_bytes(content or database.read_bytes()[:100_000])
    damaged = database.read_bytes()

    refused = run_larder(command, settings)

    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        f"larder: the database cannot be read ({problem}): it is damaged; put a backup in its place"
    )
    assert database.read_bytes() == damaged


@pytest.mark.slow
@pytest.mark.parametrize("is_gone", [False, True], ids=["zero bytes", "gone"])
@pytest.mark.embedded("empties SQLite's file")
def test_an_empty_database_beside_files_is_told_in_one_line_and_no_new_one_is_made(
    tmp_path: Path, *, is_gone: bool
) -> None:
    settings = {"DATA_DIR": str(tmp_path / "var")}
    blob = tmp_path / "var" / "blobs" / new_blob_key(datetime(2026, 3, 4, 12, tzinfo=UTC))
    blob.parent.mkdir(parents=True)
    blob.touch()
    database = tmp_path / "var" / "larder.sqlite3"
    if not is_gone:
        database.touch()

    refused = run_larder("migrate", settings)

    assert refused.returncode == 1
    assert refused.stderr == (
        "larder: the database is empty, but files were published to this registry: put the database back from a "
        "backup, or name another place in LARDER_DATA_DIR to begin anew\n"
    )
    assert blob.exists()
    assert database.stat().st_size == 0

    blob.unlink()
    assert run_larder("migrate", settings).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("command", ["api", "worker"])
def test_without_a_redis_url_the_parts_refuse_to_start(command: str, tmp_path: Path) -> None:
    refused = run_larder(command, {"DATA_DIR": str(tmp_path / "var"), "PORT": "0"})

    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("larder: LARDER_REDIS_URL ")


@pytest.mark.slow
def test_a_data_directory_that_may_not_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    data_dir.mkdir(mode=0o500)

    refused = subprocess.run(
        larder_command("migrate"),
        env=clean_environment({"DATA_DIR": str(data_dir)}),
        preexec_fn=_obey_file_modes,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert refused.returncode == 1
    assert refused.stderr == (
        f"larder: the data directory {data_dir} cannot be used: Permission denied; "
        "name another one in LARDER_DATA_DIR\n"
    )


@pytest.mark.slow
async def test_migrate_api_and_worker_run_apart_and_end_on_sigterm(tmp_path: Path, redis_server: RedisServer) -> None:
    await asyncio.to_thread(_run_apart, tmp_path / "var", redis_server.url)


def _run_apart(data_dir: Path, redis_url: str) -> None:
    port, metrics_port = free_port(), free_port()
    settings = {
        "DATA_DIR": str(data_dir),
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "WORKER_METRICS_PORT": str(metrics_port),
    }
    assert run_larder("migrate", settings | {"ROOT_TOKEN": _TOKEN}).returncode == 0
    assert not (data_dir / "root-token").exists()
    environment = clean_environment(settings)
    with (
        subprocess.Popen(larder_command("api"), env=environment, stderr=subprocess.DEVNULL) as api,
        subprocess.Popen(larder_command("worker"), env=environment, stderr=subprocess.DEVNULL) as worker,
    ):
        try:
            wait_for(lambda: _user(port) == 200, what="the API answers", timeout_seconds=START_SECONDS)
            wait_for(
                lambda: "larder_jobs" in _metrics(metrics_port),
                what="the worker answers",
                timeout_seconds=START_SECONDS,
            )
        finally:
            for process in (api, worker):
                process.send_signal(signal.SIGTERM)
        assert (api.wait(60), worker.wait(60)) == (0, 0)


def _user(port: int) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v4/user", headers={"PRIVATE-TOKEN": _TOKEN})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except OSError:
        return 0


def _metrics(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def _obey_file_modes() -> None:
    """Take from root, between fork and exec, what lets it write where file modes say no."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability)  # PR_CAPBSET_DROP
