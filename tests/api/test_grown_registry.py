"""What the benchmarks put into a database in bulk is what uploads would have left."""

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.growth.bulk import PACKAGES_A_PROJECT, add_packages, add_projects, add_tokens
from tests.api.registry import Registry
from tests.distributions import build_wheel


async def test_packages_in_bulk_are_on_the_pages_as_the_one_that_was_uploaded(registry: Registry) -> None:
    assert (await registry.upload(build_wheel("pkg", "1.0"))).status == 201
    with closing(sqlite3.connect(Path(registry.settings.data_dir, "larder.sqlite3"))) as rows, rows:
        add_packages(rows, seed="pkg", project_id=registry.project_id, count=3)
        add_projects(rows, seed="pkg", project_id=registry.project_id, count=2)
        add_tokens(rows, name="root token of the configuration", count=4)
        tables = ("packages", "package_files", "package_file_metadata", "package_names", "projects", "access_tokens")
        counts = {table: rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}  # noqa: S608
        assert rows.execute("PRAGMA foreign_key_check").fetchall() == []
        assert rows.execute("SELECT count(*) FROM project_storage").fetchone() == (3,)

    everything = 1 + 3 + 2 * PACKAGES_A_PROJECT
    assert counts == dict.fromkeys(tables, everything) | {"projects": 3, "access_tokens": 5}
    uploaded, grown = (await registry.page("pkg"))["files"], (await registry.page("grown-000002"))["files"]
    assert [file["filename"] for file in grown] == ["grown_000002-1.0-py3-none-any.whl"]
    assert grown[0].keys() == uploaded[0].keys()
    assert len((await registry.get(f"/api/v4/projects/{registry.project_id}/packages")).json) == 4
