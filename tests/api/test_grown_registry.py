"""What the benchmarks put into a database in bulk is what uploads would have left."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.growth.bulk import PACKAGES_A_PROJECT, add_packages, add_projects, add_tokens
from shared.models import ProjectId
from tests.api.registry import Registry
from tests.distributions import build_wheel

TABLES = ("packages", "package_files", "package_file_metadata", "package_names", "projects", "access_tokens")


def grow(database: Path, project_id: ProjectId) -> dict[str, int]:
    """Fill the database as the benchmarks do, in a thread of its own; return how many rows the tables have then."""
    with closing(sqlite3.connect(database, timeout=60)) as rows, rows:
        add_packages(rows, seed="pkg", project_id=project_id, count=3)
        add_projects(rows, seed="pkg", project_id=project_id, count=2)
        add_tokens(rows, name="root token of the configuration", count=4)
        assert rows.execute("PRAGMA foreign_key_check").fetchall() == []
        assert rows.execute("SELECT count(*) FROM project_storage").fetchone() == (3,)
        return {table: rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}  # noqa: S608


@pytest.mark.embedded("the benchmarks fill SQLite")
async def test_packages_in_bulk_are_on_the_pages_as_the_one_that_was_uploaded(registry: Registry) -> None:
    assert (await registry.upload(build_wheel("pkg", "1.0"))).status == 201
    counts = await asyncio.to_thread(grow, registry.settings.data_dir / "larder.sqlite3", registry.project_id)

    everything = 1 + 3 + 2 * PACKAGES_A_PROJECT
    assert counts == dict.fromkeys(TABLES, everything) | {"projects": 3, "access_tokens": 5}
    uploaded, grown = (await registry.page("pkg"))["files"], (await registry.page("grown-000002"))["files"]
    assert [file["filename"] for file in grown] == ["grown_000002-1.0-py3-none-any.whl"]
    assert grown[0].keys() == uploaded[0].keys()
    assert len((await registry.get(f"/api/v4/projects/{registry.project_id}/packages")).json) == 4
