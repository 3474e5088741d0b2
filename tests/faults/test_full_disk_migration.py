"""A migration that runs out of room, wherever in it: the old database is left, and a start with room migrates it."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from shared.metadata.migrate import migrate
from shared.metadata.schema import REVISION
from tests.e2e.processes import run_larder
from tests.faults.checker import Findings
from tests.faults.disks import small_disk
from tests.faults.ledger import Ledger
from tests.faults.report import FaultReport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_MIB = 1024 * 1024
_DISK_BYTES = 64 * _MIB
_PACKAGES = 30_000
_ROOMS_BYTES = (0, 256 * 1024, 2 * _MIB)
"""So little that it fails to begin, then to write ahead, then to finish."""
_FIRST_ROWS = f"""
    INSERT INTO namespaces (id, kind, name, path, full_path, full_path_key, description, visibility,
        lock_pypi_package_requests_forwarding, created_at)
    VALUES (1, 'group', 'old', 'old', 'old', 'old', '', 'private', 0, '2026-01-01T00:00:00.000000Z');
    INSERT INTO projects (id, namespace_id, name, path, full_path, full_path_key, description, visibility,
        registry_access, job_token_scope_enabled, created_at)
    VALUES (1, 1, 'app', 'app', 'old/app', 'old/app', '', 'private', 'enabled', 1, '2026-01-01T00:00:00.000000Z');
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {_PACKAGES})
    INSERT INTO packages (project_id, package_type, name, normalized_name, version, canonical_version, status,
        created_at, updated_at)
    SELECT 1, 'pypi', 'package-' || n, 'package-' || n, '1.0', '1', 'default', '2026-01-01T00:00:00.000000Z',
        '2026-01-01T00:00:00.000000Z' FROM numbers;
    PRAGMA wal_checkpoint(TRUNCATE);
"""  # noqa: S608 - a number above


@pytest.fixture
async def old_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of the first schema, with rows."""
    path = tmp_path / "old.sqlite3"
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
        await migrate(f"sqlite:///{path}")
    await asyncio.to_thread(_fill, path)
    return path


async def test_a_migration_without_room_leaves_the_old_database_and_the_next_start_migrates(
    tmp_path: Path, old_database: Path, fault_report: FaultReport
) -> None:
    await asyncio.to_thread(_migrate_with_ever_more_room, tmp_path / "var", old_database, fault_report)


def _migrate_with_ever_more_room(data_dir: Path, old_database: Path, fault_report: FaultReport) -> None:
    findings = Findings()
    settings = {"DATA_DIR": str(data_dir)}
    database = data_dir / "larder.sqlite3"
    with small_disk(data_dir, _DISK_BYTES) as disk:
        shutil.copy(old_database, database)
        for room_bytes in _ROOMS_BYTES:
            disk.fill(leave_bytes=room_bytes)
            refused = run_larder("migrate", settings)
            assert refused.returncode == 1, f"{room_bytes} bytes are room enough"
            assert refused.stderr in (
                "larder: the disk is full\n",
                (
                    f"larder: the data directory {data_dir} cannot be used: No space left on device; "
                    "name another one in LARDER_DATA_DIR\n"
                ),
            )
            disk.make_room()
            if _state(database) != ("0001", _PACKAGES, "ok"):
                findings.lost.append(f"with {room_bytes} bytes of room the database is now {_state(database)}")

        assert run_larder("migrate", settings).returncode == 0
        if _state(database) != (REVISION, _PACKAGES, "ok"):
            findings.lost.append(f"with room enough the database is now {_state(database)}")
    fault_report.conclude("disk full during migration", runs=len(_ROOMS_BYTES), ledger=Ledger(), findings=findings)


def _fill(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_FIRST_ROWS)


def _state(path: Path) -> tuple[Any, ...]:
    """Return schema, number of packages, and what SQLite itself says."""
    with closing(sqlite3.connect(path, timeout=30)) as database:
        (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        (packages,) = database.execute("SELECT count(*) FROM packages").fetchone()
        (check,) = database.execute("PRAGMA quick_check").fetchone()
    return revision, packages, check
