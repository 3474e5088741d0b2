"""Fills a registry's SQLite database with copies of rows that an upload left, so that all is as uploads make it."""

import sqlite3
from collections.abc import Mapping

NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
GROWN = "grown"
"""How the names of what was added begin."""
PACKAGES_A_PROJECT = 10
"""In each of the projects that a group is given."""


def add_packages(database: sqlite3.Connection, *, seed: str, project_id: int, count: int) -> None:
    """Add so many packages of one file each to the project.

    Args:
        seed: the name of a package of the project, with one file, that was uploaded.
    """
    name = f"'{GROWN}-' || printf('%06d', n)"
    (package_id,) = database.execute("SELECT id FROM packages WHERE name = ?", (seed,)).fetchone()
    _copy(database, "package_names", f"normalized_name = '{seed}'", count, {"normalized_name": name})
    _copy(database, "packages", f"id = {package_id}", count, {"name": name, "normalized_name": name})
    _add_files(database, seed_package_id=package_id, project_id=project_id)


def add_projects(database: sqlite3.Connection, *, seed: str, project_id: int, count: int) -> None:
    """Add so many projects beside this one, with a few packages each."""
    path = f"'{GROWN}-' || n"
    changes = {"name": path, "path": path}
    changes |= {column: f"{column} || '-' || {path}" for column in ("full_path", "full_path_key")}
    (last,) = database.execute("SELECT max(id) FROM projects").fetchone()
    _copy(database, "projects", f"id = {project_id}", count, changes)
    (package_id,) = database.execute("SELECT id FROM packages WHERE name = ?", (seed,)).fetchone()
    many = count * PACKAGES_A_PROJECT
    of_project = f"{last} + 1 + (n - 1) / {PACKAGES_A_PROJECT}"
    name = f"'{GROWN}-of-' || printf('%06d', n)"
    changes = {"project_id": of_project, "normalized_name": name}
    _copy(database, "package_names", f"normalized_name = '{seed}'", many, changes)
    _copy(database, "packages", f"id = {package_id}", many, {**changes, "name": name})
    for (one,) in database.execute("SELECT id FROM projects WHERE id > ?", (last,)).fetchall():
        _add_files(database, seed_package_id=package_id, project_id=one)


def add_tokens(database: sqlite3.Connection, *, name: str, count: int) -> None:
    """Add so many tokens to the owner of the one with this name."""
    changes = {"digest": "lower(hex(randomblob(32)))", "name": f"'{GROWN}-' || n"}
    _copy(database, "access_tokens", f"name = '{name}'", count, changes)


def _add_files(database: sqlite3.Connection, *, seed_package_id: int, project_id: int) -> None:
    """Give each package that was added to the project a file, and this its metadata."""
    (last,) = database.execute("SELECT max(id) FROM package_files").fetchone()
    changes = {
        "package_id": "added.id",
        "project_id": "added.project_id",
        "file_name": "replace(added.name, '-', '_') || '-1.0-py3-none-any.whl'",
        "blob_key": "'2026/03/01/' || lower(hex(randomblob(16)))",
        "sha256": "lower(hex(randomblob(32)))",
    }
    columns = _columns(database, "package_files")
    values = ", ".join(changes.get(column, f"seed.{column}") for column in columns)
    database.execute(
        f"INSERT INTO package_files ({', '.join(columns)}) SELECT {values} FROM package_files seed, packages added"
        f" WHERE seed.package_id = {seed_package_id} AND added.project_id = {project_id}"
        f" AND added.name LIKE '{GROWN}-%' ORDER BY added.id"
    )
    columns = [column for column in _columns(database, "package_file_metadata") if column != "file_id"]
    database.execute(
        f"INSERT INTO package_file_metadata (file_id, {', '.join(columns)})"
        f" SELECT added.id, {', '.join(f'seed.{column}' for column in columns)}"
        " FROM package_files added, package_file_metadata seed JOIN package_files of_seed ON of_seed.id = seed.file_id"
        f" WHERE of_seed.package_id = {seed_package_id} AND added.id > {last}"
    )
    database.execute(
        "INSERT OR REPLACE INTO project_storage (project_id, bytes)"
        f" SELECT {project_id}, sum(size_bytes) FROM package_files WHERE project_id = {project_id}"
    )


def _copy(database: sqlite3.Connection, table: str, condition: str, count: int, changes: Mapping[str, str]) -> None:
    """Add copies of one row, with these columns changed; `n` counts from 1."""
    columns = _columns(database, table)
    values = ", ".join(changes.get(column, column) for column in columns)
    added = database.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) {NUMBERS.format(count=count)}"
        f" SELECT {values} FROM {table}, numbers WHERE {condition}"
    )
    assert added.rowcount == count, (table, condition)


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns but for the id that the database gives."""
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
