"""`larder move` as an operator runs it: 10,000 files to PostgreSQL and S3 and back, killed midway each time."""

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.growth.bulk import add_packages
from services.maintenance.progress import human_size
from shared.blob_keys import new_blob_key
from shared.metadata.engine import postgresql_url
from tests.backends import PostgresqlServer
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import clean_environment, larder_command, run_larder, running_larder, session_members
from tests.registry_client import open_client
from tests.registry_contents import blobs_in_bucket, blobs_on_disk, but_for_moves, moves_in
from tests.rows import everything
from tests.s3_server import BUCKET, S3Server, s3_credentials
from tests.waiting import eventually

__all__ = ["s3_credentials"]  # a fixture of its own module

pytestmark = [pytest.mark.embedded("says itself what it moves between"), pytest.mark.slow]

_FILES = 10_000
_DAYS = 25
_FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)
_PATIENCE_SECONDS = 300


async def _fill(data_dir: Path) -> None:
    """Make a registry with one file that was uploaded, and so many more that are copies of it but for their bytes."""
    with running_larder(data_dir, {"API_PROCESSES": "1"}) as larder:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            content = build_wheel("seed", "1.0")
            answer = await client.upload(content, file_name=wheel_file_name("seed", "1.0"), name="seed", version="1.0")
            assert answer.status == 201, answer
        project_id = larder.project_id
    with closing(sqlite3.connect(data_dir / "larder.sqlite3")) as database, database:
        add_packages(database, seed="seed", project_id=project_id, count=_FILES - 1)
        ids = [row[0] for row in database.execute("SELECT id FROM package_files WHERE id > 1")]
        files = [_new_file(data_dir / "blobs", number) for number in ids]
        database.executemany(
            "UPDATE package_files SET blob_key = ?, size_bytes = ?, md5 = ?, sha1 = ?, sha256 = ?, blake2b_256 = ?"
            " WHERE id = ?",
            files,
        )
        total = "SELECT sum(size_bytes) FROM package_files"
        database.execute(f"UPDATE project_storage SET bytes = ({total})")  # noqa: S608 - our own words


def _new_file(root: Path, number: int) -> tuple[str, int, str, str, str, str, int]:
    """Write a blob, and return what its row says."""
    content = f"file {number}\n".encode() * (1 + number % 7)
    key = new_blob_key(_FIRST_DAY + timedelta(days=number % _DAYS, seconds=number))
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    digests = [hashlib.new(name, content, usedforsecurity=False).hexdigest() for name in ("md5", "sha1", "sha256")]
    return key, len(content), *digests, hashlib.blake2b(content, digest_size=32).hexdigest(), number  # type: ignore[return-value]


def _move(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Move to the end."""
    return subprocess.run(
        larder_command("move", *arguments),
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )


@contextmanager
def _running_move(settings: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        larder_command("move", *arguments),
        env=clean_environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for one in session_members(process.pid):
            os.kill(one.pid, signal.SIGKILL)
        process.communicate()


async def test_a_registry_that_serves_is_copied_ahead_moved_when_it_is_stopped_and_serves_again(
    tmp_path: Path, postgresql_server: PostgresqlServer
) -> None:
    name = postgresql_server.create_database()
    database_url, blob_url = postgresql_server.setting(name), f"file://{tmp_path}/new/blobs"
    secret_url = database_url.replace("larder@", "larder:not-to-be-seen@")
    here, there = {"DATA_DIR": str(tmp_path / "var")}, ("--to-database", secret_url, "--to-blobs", blob_url)
    content = build_wheel("pkg", "1.0")
    with running_larder(tmp_path / "var", {"API_PROCESSES": "1"}) as larder:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            answer = await client.upload(content, file_name=wheel_file_name("pkg", "1.0"), name="pkg", version="1.0")
            assert answer.status == 201, answer
        refused = await asyncio.to_thread(_move, here, *there)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "is using the data directory" in refused.stderr
        assert not (tmp_path / "new").exists()
        ahead = await asyncio.to_thread(_move, here, *there, "--ahead")
        assert (ahead.returncode, ahead.stderr) == (0, "")
        assert ahead.stdout.splitlines() == [
            f"moved 1 files, {human_size(len(content))}; 0 were there already",
            "stop the registry, and run the same command without --ahead",
        ]

    moved = await asyncio.to_thread(_move, here, *there)

    shown = database_url.replace("larder@", "larder:***@")
    assert (moved.returncode, moved.stderr) == (0, "")
    assert moved.stdout.splitlines()[0] == "moved 0 files, 0 bytes; 1 were there already"
    assert f"set LARDER_DATABASE_URL={shown}" in unquote(moved.stdout.splitlines()[1])
    assert f" and LARDER_BLOB_URL={blob_url}, and start it" in moved.stdout.splitlines()[1]
    assert "not-to-be-seen" not in moved.stdout + moved.stderr + ahead.stdout + refused.stderr
    settings = {"DATABASE_URL": database_url, "BLOB_URL": blob_url, "API_PROCESSES": "1"}
    with running_larder(tmp_path / "var", settings) as larder:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            page = await client.page("pkg")
            assert page is not None
            assert await client.download(page["files"][0]["url"]) == content
    postgresql_server.drop_database(name)


@pytest.mark.alone
@pytest.mark.timeout(900)
async def test_ten_thousand_files_go_to_servers_and_come_back_though_each_move_is_killed(
    tmp_path: Path, postgresql_server: PostgresqlServer, s3_server: S3Server, s3_credentials: object
) -> None:
    here = {"DATA_DIR": str(tmp_path / "var")}
    await _fill(tmp_path / "var")
    name, prefix = postgresql_server.create_database(), s3_server.new_prefix()
    servers = {"DATABASE_URL": postgresql_server.setting(name), "BLOB_URL": s3_server.blob_url(prefix)}
    database_url = f"sqlite:///{tmp_path}/var/larder.sqlite3"
    rows, blobs = await everything(database_url), blobs_on_disk(tmp_path / "var" / "blobs")
    assert (len(blobs), len(rows["package_files"])) == (_FILES, _FILES)
    midway = sorted(blobs)[_FILES // 3]  # They go in the order of their keys.

    there = ("--to-database", servers["DATABASE_URL"], "--to-blobs", servers["BLOB_URL"])
    await _kill_midway(here, *there, when=lambda: _is_in_bucket(s3_server, f"{prefix}/{midway}"))
    begun = len(blobs_in_bucket(s3_server, prefix))
    assert _FILES // 3 <= begun < _FILES
    async with _rows_arrive(postgresql_server.url(name)) as rows_arrive:
        await _kill_midway(here, *there, when=rows_arrive)
    assert postgresql_server.execute("SELECT count(*) FROM users", database=name) == ["0"], "rows come all at once"
    told = await asyncio.to_thread(_move, here, *there)

    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[0] == f"moved 0 files, 0 bytes; {_FILES} were there already"
    arrived = await everything(postgresql_server.url(name))
    assert but_for_moves(arrived) == but_for_moves(rows)
    assert moves_in(arrived) == 1
    assert blobs_in_bucket(s3_server, prefix) == blobs
    assert but_for_moves(await everything(database_url)) == but_for_moves(rows), "what is left behind stays as it was"
    assert blobs_on_disk(tmp_path / "var" / "blobs") == blobs

    place = tmp_path / "back"
    back = ("--to-database", f"sqlite:///{place}/larder.sqlite3", "--to-blobs", f"file://{place}/blobs")
    elsewhere = {"DATA_DIR": str(tmp_path / "scratch"), **servers}
    await _kill_midway(elsewhere, *back, when=lambda: _is_on_disk(place / "blobs" / midway))
    assert not (place / "larder.sqlite3").exists()
    begun = len(blobs_on_disk(place / "blobs"))
    assert _FILES // 3 <= begun < _FILES
    told = await asyncio.to_thread(_move, elsewhere, *back)

    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[0].startswith(f"moved {_FILES - begun} files, ")
    returned = await everything(f"sqlite:///{place}/larder.sqlite3")
    assert but_for_moves(returned) == but_for_moves(rows)
    assert moves_in(returned) == 2
    assert blobs_on_disk(place / "blobs") == blobs
    checked = await asyncio.to_thread(run_larder, "check", {"DATA_DIR": str(place)})
    assert (checked.returncode, checked.stdout[:5]) == (0, "clean"), checked.stdout
    assert list(tmp_path.rglob(".move*")) == []
    postgresql_server.drop_database(name)


async def _kill_midway(settings: dict[str, str], *arguments: str, when: Callable[[], Awaitable[bool]]) -> None:
    """Kill a move as soon as this holds."""
    with _running_move(settings, *arguments) as process:

        async def is_midway() -> bool:
            return process.poll() is not None or await when()

        await eventually(is_midway, what="the move is midway", timeout_seconds=_PATIENCE_SECONDS)
        assert process.poll() is None, process.communicate()[0]
        process.kill()
        assert process.wait() == -signal.SIGKILL


async def _is_on_disk(path: Path) -> bool:
    return path.exists()


async def _is_in_bucket(server: S3Server, name: str) -> bool:
    try:
        await asyncio.to_thread(server.client.head_object, Bucket=BUCKET, Key=name)
    except ClientError:
        return False
    return True


@asynccontextmanager
async def _rows_arrive(url: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Give what says whether a move puts its rows into this database: it has tables then."""
    engine = create_async_engine(postgresql_url(url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:

        async def do_arrive() -> bool:
            return bool(await connection.scalar(text("SELECT to_regclass('users') IS NOT NULL")))

        yield do_arrive
    await engine.dispose()
