"""Fills a PostgreSQL database with copies of rows that an upload left, so that all is as uploads make it."""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

WIDE, TEAM, DEEP = "wide", "team", "deep"
"""How the names of what was added begin: in the project with the most packages, in the others, and the name with the
most versions."""
DEEP_VERSIONS = 500
FILES_A_PACKAGE = 3
PROJECTS_A_TEAM = 10
_LARGE = ("package_files", "package_file_metadata", "packages", "package_names")


@dataclass(frozen=True, slots=True)
class Size:
    """What a registry holds.

    Args:
        wide: names of one version in the project that is asked for, which also has the one of many versions.
        teams: groups of a few projects each beside it.
        packages_a_project: in each of these.
    """

    wide: int
    teams: int
    packages_a_project: int

    @property
    def packages(self) -> int:
        """Return how many packages there are in all."""
        return self.wide + DEEP_VERSIONS + self.projects * self.packages_a_project

    @property
    def projects(self) -> int:
        """Return how many projects the groups have."""
        return self.teams * PROJECTS_A_TEAM


@dataclass(frozen=True, slots=True)
class Seed:
    """What the copies are made of.

    Args:
        package: the name of a package of the project, with one file, that was uploaded.
        team: the group of the first team, which has no project yet.
    """

    package: str
    project_id: int
    team_id: int


async def fill(database: asyncpg.Connection, size: Size, seed: Seed) -> int:
    """Make the registry of this size out of one with a single package; return the id of a project of the first team."""
    # What a foreign key refers to was copied as well; to look at each of them takes longer than all else.
    await database.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    indexes = await _drop_indexes(database)
    await _add_teams(database, size, seed)
    await _add_packages(database, size, seed)
    await _add_files(database, seed)
    for definition in indexes:
        await database.execute(definition)
    await database.execute("SET session_replication_role = origin")
    await database.execute("VACUUM ANALYZE")
    await database.execute("SELECT pg_stat_reset()")
    return int(await database.fetchval("SELECT min(id) FROM projects WHERE namespace_id = $1", seed.team_id))


async def _add_teams(database: asyncpg.Connection, size: Size, seed: Seed) -> None:
    """Add the other teams beside the first, and give each its projects."""
    name = f"'{TEAM}-' || n"
    full = f"regexp_replace(full_path, '[^/]+$', '') || {name}"
    changes = {"name": name, "path": name, "full_path": full, "full_path_key": full}
    await _copy(database, "namespaces", f"id = {seed.team_id}", f"generate_series(2, {size.teams}) n", changes)
    await database.execute(
        "INSERT INTO namespace_ancestors (namespace_id, ancestor_id, distance)"
        " SELECT of.id, CASE above.distance WHEN 0 THEN of.id ELSE above.ancestor_id END, above.distance"
        " FROM namespaces of, namespace_ancestors above"
        f" WHERE of.name LIKE '{TEAM}-%' AND of.id <> {seed.team_id} AND above.namespace_id = {seed.team_id}"
    )
    full = "team.full_path || '/app-' || n"
    changes = {
        "namespace_id": "team.id",
        "name": "'app-' || n",
        "path": "'app-' || n",
        "full_path": full,
        "full_path_key": full,
    }
    source = f"generate_series(1, {PROJECTS_A_TEAM}) n, namespaces team"
    condition = f"seed.id = {seed.project_id} AND team.name LIKE '{TEAM}-%'"
    await _copy(database, "projects", condition, source, changes)


async def _add_packages(database: asyncpg.Connection, size: Size, seed: Seed) -> None:
    is_seed = f"seed.normalized_name = '{seed.package}'"
    at = dict.fromkeys(("created_at", "updated_at"), "seed.created_at - n * interval '1 minute'")
    named = {"name": f"'{WIDE}-' || lpad(n::text, 6, '0')"}
    named["normalized_name"] = named["name"]
    many = f"generate_series(1, {size.wide}) n"
    await _copy(database, "packages", is_seed, many, named | at)
    await _copy(database, "package_names", is_seed, many, {"normalized_name": named["name"]})
    versions = {"name": f"'{DEEP}'", "normalized_name": f"'{DEEP}'", "version": "'1.' || n"}
    versions["canonical_version"] = versions["version"]
    await _copy(database, "packages", is_seed, f"generate_series(1, {DEEP_VERSIONS}) n", versions | at)
    await _copy(database, "package_names", is_seed, "(SELECT) one", {"normalized_name": f"'{DEEP}'"})
    named = {"name": f"'{TEAM}-' || app.id || '-' || n", "project_id": "app.id"}
    named["normalized_name"] = named["name"]
    source = f"generate_series(1, {size.packages_a_project}) n, projects app"
    condition = f"{is_seed} AND app.name LIKE 'app-%'"
    await _copy(database, "packages", condition, source, named | at)
    names = {"normalized_name": named["name"], "project_id": "app.id"}
    await _copy(database, "package_names", condition, source, names)


async def _add_files(database: asyncpg.Connection, seed: Seed) -> None:
    """Give each package that was added its files, and these their metadata."""
    last = await database.fetchval("SELECT max(id) FROM package_files")
    stem = "replace(added.name, '-', '_') || '-' || added.version"
    changes = {
        "package_id": "added.id",
        "project_id": "added.project_id",
        "file_name": f"{stem} || (ARRAY['.tar.gz', '-py3-none-any.whl', '-py2-none-any.whl'])[n]",
        "blob_key": "'2026/03/01/' || gen_random_uuid()",
        "sha256": "encode(sha256((added.id || '-' || n)::bytea), 'hex')",
        "created_at": "added.created_at",
        "verified_at": "added.created_at",
    }
    source = f"generate_series(1, {FILES_A_PACKAGE}) n, packages added, packages of_seed"
    condition = (
        f"of_seed.normalized_name = '{seed.package}' AND seed.package_id = of_seed.id"
        f" AND added.normalized_name <> '{seed.package}' ORDER BY added.id, n"
    )
    await _copy(database, "package_files", condition, source, changes)
    source = f"package_files added JOIN package_files of_seed ON of_seed.id = {last}"
    condition = f"seed.file_id = {last} AND added.id > {last} ORDER BY added.id"
    await _copy(database, "package_file_metadata", condition, source, {"file_id": "added.id"})
    await database.execute(
        "INSERT INTO project_storage (project_id, bytes)"
        " SELECT project_id, sum(size_bytes) FROM package_files GROUP BY project_id"
        " ON CONFLICT (project_id) DO UPDATE SET bytes = EXCLUDED.bytes"
    )


async def _copy(
    database: asyncpg.Connection, table: str, condition: str, source: str, changes: Mapping[str, str]
) -> None:
    """Add copies of one row of the table, which is called `seed`: one for each row of the source, `n` its number."""
    rows = await database.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1"
        " AND is_identity = 'NO' ORDER BY ordinal_position",
        table,
    )
    columns = [row["column_name"] for row in rows]
    values = ", ".join(changes.get(column, f"seed.{column}") for column in columns)
    await database.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} seed, {source} WHERE {condition}"
    )


async def _drop_indexes(database: asyncpg.Connection) -> list[str]:
    """Drop what would be kept in order for each row; return what makes it again, all at once."""
    rows = await database.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY($1)"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)",
        list(_LARGE),
    )
    for row in rows:
        await database.execute(f"DROP INDEX {row['indexname']}")
    return [row["indexdef"] for row in rows]
