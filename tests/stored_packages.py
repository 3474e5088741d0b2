"""Packages, files, pipelines and links put into a database in bulk, as many uploads would have left them."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Table, func, insert, select

from shared.metadata.access_tables import pipelines
from shared.metadata.package_tables import build_links, package_files, package_names, packages
from shared.metadata.store import open_metadata_store
from shared.models import (
    CounterScope,
    PackageFileStatus,
    PackageId,
    PackageStatus,
    PipelineId,
    Project,
    ProjectId,
    UserId,
)
from shared.names import canonical_version, normalize_name

FIRST = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
"""When the first package of a project was created; each further one came a second later."""
_blobs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Stored:
    """A package to be there.

    Args:
        age_seconds: how long after FIRST it was created; None: as many seconds as packages stand before it.
        files: file name -> status.
    """

    name: str = "demo"
    version: str = "1.0"
    status: PackageStatus = PackageStatus.DEFAULT
    status_message: str | None = None
    age_seconds: int | None = None
    last_downloaded_at: datetime | None = None
    files: tuple[tuple[str, PackageFileStatus], ...] = ()


def versions(count: int, *, name: str = "demo") -> list[Stored]:
    """Return so many versions of a package."""
    return [Stored(name, f"{number}.0") for number in range(count)]


async def store_packages(url: str, project: Project, stored: Sequence[Stored]) -> list[PackageId]:
    """Put the packages into the project; return their ids, in this order."""
    async with open_metadata_store(url) as store, store.writing() as rows:
        transaction = rows._transaction
        transaction.touch(CounterScope.PROJECT, project.id)
        return await transaction.connection.run_sync(_add_packages, project.id, stored)


async def store_pipeline(
    url: str,
    project: Project,
    number: int,
    *,
    user_id: UserId | None = None,
    web_url: str | None = None,
    of_packages: Iterable[PackageId] = (),
) -> PipelineId:
    """Put a pipeline into the database, linked to these packages."""
    async with open_metadata_store(url) as store, store.writing() as rows:
        values = {
            "project_id": project.id,
            "number": number,
            "iid": 7,
            "ref": "main",
            "sha": "c" * 40,
            "source": "push",
            "status": "success",
            "web_url": web_url,
            "user_id": user_id,
            "created_at": FIRST,
            "updated_at": FIRST,
        }
        connection = rows._transaction.connection
        (pipeline_id,) = await connection.run_sync(_add, pipelines, [values])
        await connection.run_sync(_link, PipelineId(pipeline_id), list(of_packages), None)
    return PipelineId(pipeline_id)


async def link_file(url: str, package_id: PackageId, file_id: int, pipeline_id: PipelineId) -> None:
    """Say that the pipeline built a file of the package."""
    async with open_metadata_store(url) as store, store.writing() as rows:
        await rows._transaction.connection.run_sync(_link, pipeline_id, [package_id], file_id)


def _link(connection: Connection, pipeline_id: PipelineId, package_ids: list[PackageId], file_id: int | None) -> None:
    links: list[dict[str, object]] = [
        {"package_id": one, "package_file_id": file_id, "pipeline_id": pipeline_id, "created_at": FIRST}
        for one in package_ids
    ]
    _add(connection, build_links, links)


def _add_packages(connection: Connection, project_id: ProjectId, stored: Sequence[Stored]) -> list[PackageId]:
    known = set(
        connection.execute(
            select(package_names.c.normalized_name).where(package_names.c.project_id == project_id)
        ).scalars()
    )
    names = dict.fromkeys(normalize_name(one.name) for one in stored)
    _add_rows(
        connection,
        package_names,
        [
            {"project_id": project_id, "normalized_name": name, "status": "active", "first_accepted_at": FIRST}
            for name in names
            if name not in known
        ],
    )
    rows: list[dict[str, object]] = []
    for number, one in enumerate(stored):
        created_at = FIRST + timedelta(seconds=number if one.age_seconds is None else one.age_seconds)
        rows.append(
            {
                "project_id": project_id,
                "package_type": "pypi",
                "name": one.name,
                "normalized_name": normalize_name(one.name),
                "version": one.version,
                "canonical_version": canonical_version(one.version),
                "status": one.status,
                "status_message": one.status_message,
                "created_at": created_at,
                "updated_at": created_at,
                "last_downloaded_at": one.last_downloaded_at,
                "doomed_at": created_at if one.status is PackageStatus.PENDING_DESTRUCTION else None,
            }
        )
    ids = [PackageId(one) for one in _add(connection, packages, rows)]
    _add(
        connection,
        package_files,
        [row for one, of in zip(stored, ids, strict=True) for row in _files(one, of, project_id)],
    )
    return ids


def _files(package: Stored, package_id: PackageId, project_id: ProjectId) -> list[dict[str, object]]:
    return [
        {
            "package_id": package_id,
            "project_id": project_id,
            "blob_key": f"2026/03/01/{next(_blobs):032x}",
            "file_name": file_name,
            "size_bytes": 7,
            "md5": "d" * 32 if status is PackageFileStatus.DEFAULT else None,
            "sha1": "1" * 40 if status is PackageFileStatus.DEFAULT else None,
            "sha256": f"{next(_blobs):064x}",
            "status": status,
            "attempt": 1,
            "uploader_kind": "user",
            "uploader_id": 1,
            "created_at": FIRST - timedelta(seconds=number),
            "doomed_at": FIRST if status is PackageFileStatus.PENDING_DESTRUCTION else None,
        }
        for number, (file_name, status) in enumerate(package.files)
    ]


def _add(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> list[int]:
    """Add rows one after the other, so that their ids ascend; return these."""
    last = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    _add_rows(connection, table, rows)
    return list(connection.execute(select(table.c.id).where(table.c.id > last).order_by(table.c.id)).scalars())


def _add_rows(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
    if rows:
        connection.execute(insert(table), list(rows))
