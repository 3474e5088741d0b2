"""Look-ups of packages and files in SQL."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from packaging.version import InvalidVersion, Version
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
)

from shared.metadata.change_counters import counters_statement, read_counters
from shared.metadata.package_tables import package_file_metadata, package_files, package_names, packages
from shared.metadata.pull_sources import is_of
from shared.metadata.rows import columns_of
from shared.metadata.transaction import Transaction, Values
from shared.models import (
    INSTALLABLE,
    BlobKey,
    CounterScope,
    IndexedFile,
    IndexedName,
    IndexedPage,
    Package,
    PackageFile,
    PackageFileId,
    PackageFileStatus,
    PackageId,
)
from shared.names import NormalizedName
from shared.ports.change_checks import Scope
from shared.ports.pull_sources import GroupPull, PullSource
from shared.status_markers import UNMARKED, NameStatus, StatusMarker, common_marker


def written_out(word: str) -> ColumnElement[str]:
    """Return the word as a literal: only so may a plan that is made for all values use a partial index."""
    return literal_column(f"'{word}'")


PACKAGE_TYPE = "pypi"
PACKAGE_COLUMNS = columns_of(packages, Package)
FILE_COLUMNS = columns_of(package_files, PackageFile)
_PACKAGE = select(*PACKAGE_COLUMNS).where(packages.c.id == bindparam("package_id"))
_FILE = select(*FILE_COLUMNS).where(package_files.c.id == bindparam("file_id"))
_FORM, _CORE_METADATA, _ATTESTATIONS = (
    select(column).where(package_file_metadata.c.file_id == bindparam("file_id"))
    for column in (
        package_file_metadata.c.form,
        package_file_metadata.c.core_metadata,
        package_file_metadata.c.attestations,
    )
)
_MANY = 1_000
"""Of more rows than these nothing is made while others on the loop wait."""
_AHEAD = timedelta(minutes=1)
"""By less than that the clocks of several machines differ."""

_IS_INSTALLABLE = packages.c.status.in_([written_out(status) for status in sorted(INSTALLABLE)])
_IS_DEFAULT = package_files.c.status == PackageFileStatus.DEFAULT
_IS_ITS_NAME = and_(
    package_names.c.project_id == packages.c.project_id, package_names.c.normalized_name == packages.c.normalized_name
)
# A name whose row is not there, or not yet, has nothing said of it.
_IS_OFFERED = or_(package_names.c.status.is_(None), package_names.c.status != NameStatus.QUARANTINED)


IS_PROCESSING = package_files.c.status == written_out(PackageFileStatus.PROCESSING)
IS_DOOMED = package_files.c.status == written_out(PackageFileStatus.PENDING_DESTRUCTION)


class SqlPackageReads:
    """Implements PackageReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def package(self, package_id: PackageId) -> Package | None:
        row = await self._transaction.row(_PACKAGE, {"package_id": package_id})
        return Package(**row._asdict()) if row else None

    async def file(self, file_id: PackageFileId) -> PackageFile | None:
        row = await self._transaction.row(_FILE, {"file_id": file_id})
        return PackageFile(**row._asdict()) if row else None

    async def form(self, file_id: PackageFileId) -> dict[str, list[str]]:
        row = await self._transaction.row(_FORM, {"file_id": file_id})
        return row.form if row else {}

    async def index(self, source: PullSource) -> tuple[IndexedName, ...]:
        rows = await self._transaction.rows(*_INDEX.of(source))
        return await asyncio.to_thread(_indexed_names, rows) if len(rows) > _MANY else _indexed_names(rows)

    async def counters(self, source: PullSource, *, limit: int) -> dict[Scope, int]:
        if not isinstance(source, GroupPull):
            return await read_counters(self._transaction, [(CounterScope.PROJECT, source)])
        rows = await self._transaction.rows(counters_statement(source).limit(limit))
        return {(CounterScope.PROJECT, row.id): row.value for row in rows}

    async def page(self, source: PullSource, name: NormalizedName) -> IndexedPage | None:
        rows = await self._transaction.rows(*_PAGE.of(source, name))
        return _indexed_page(rows) if rows else None

    async def installable_file(self, source: PullSource, *, sha256: str, file_name: str) -> PackageFile | None:
        row = await self._transaction.row(*_INSTALLABLE_FILE.of(source, sha256, file_name))
        return PackageFile(**row._asdict()) if row else None

    async def core_metadata(self, file_id: PackageFileId) -> bytes | None:
        row = await self._transaction.row(_CORE_METADATA, {"file_id": file_id})
        return row.core_metadata if row else None

    async def attestations(self, file_id: PackageFileId) -> bytes | None:
        row = await self._transaction.row(_ATTESTATIONS, {"file_id": file_id})
        return row.attestations if row else None

    async def known_blobs(self, keys: Sequence[BlobKey]) -> frozenset[BlobKey]:
        rows = await self._transaction.rows(
            select(package_files.c.blob_key).where(package_files.c.blob_key.in_(list(keys)))
        )
        return frozenset(BlobKey(row.blob_key) for row in rows)

    async def unleased(self, *, created_before: datetime, now: datetime, limit: int) -> tuple[PackageFile, ...]:
        return _files(await self._transaction.rows(unleased_statement(created_before, now, limit)))

    async def lapsed(self, *, now: datetime, lease_seconds: float, limit: int) -> tuple[PackageFile, ...]:
        return _files(await self._transaction.rows(lapsed_statement(now, lease_seconds, limit)))

    async def doomed(self, *, doomed_before: datetime, now: datetime, limit: int) -> tuple[PackageFile, ...]:
        return _files(await self._transaction.rows(doomed_statement(doomed_before, now, limit)))


def index_statement(source: GroupPull | BindParameter[Any]) -> Select[Any]:
    """Return one row per installable package: by normalized name, then id."""
    first_file = (
        select(package_files.c.requires_python)
        .where(package_files.c.package_id == packages.c.id, _IS_DEFAULT)
        .order_by(package_files.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(packages.c.name, packages.c.normalized_name, packages.c.version, first_file.label("requires_python"))
        .where(is_of(source, packages.c.project_id), packages.c.package_type == PACKAGE_TYPE, _IS_INSTALLABLE)
        .order_by(packages.c.normalized_name, packages.c.id)
    )


def page_statement(source: GroupPull | BindParameter[Any], name: str | BindParameter[Any]) -> Select[Any]:
    """Return one row per installable file, and one without a file for an installable package that has none to offer.

    Each row ends with what its project says of the name.
    """
    is_yanked = or_(package_files.c.yanked_at.is_not(None), packages.c.yanked_at.is_not(None))
    reason = func.coalesce(package_files.c.yanked_reason, packages.c.yanked_reason, "")
    return (
        select(
            package_files.c.id.label("file_id"),
            packages.c.id.label("package_id"),
            packages.c.project_id,
            packages.c.name.label("package_name"),
            packages.c.version,
            package_files.c.file_name,
            package_files.c.size_bytes,
            package_files.c.sha256,
            package_files.c.requires_python,
            package_file_metadata.c.core_metadata_sha256.label("metadata_sha256"),
            case((is_yanked, reason)).label("yanked_reason"),
            package_file_metadata.c.attestations.is_not(None).label("has_provenance"),
            package_files.c.created_at.label("uploaded_at"),
            package_files.c.verified_at,
            package_names.c.status.label("name_status"),
            package_names.c.status_reason.label("name_reason"),
        )
        .select_from(packages)
        .outerjoin(package_names, _IS_ITS_NAME)
        .outerjoin(package_files, (package_files.c.package_id == packages.c.id) & _IS_DEFAULT & _IS_OFFERED)
        .outerjoin(package_file_metadata, package_file_metadata.c.file_id == package_files.c.id)
        .where(
            is_of(source, packages.c.project_id),
            packages.c.package_type == PACKAGE_TYPE,
            packages.c.normalized_name == name,
            _IS_INSTALLABLE,
        )
        .order_by(packages.c.id, package_files.c.id)
    )


def installable_file_statement(
    source: GroupPull | BindParameter[Any], sha256: str | BindParameter[Any], file_name: str | BindParameter[Any]
) -> Select[Any]:
    """Return the installable file of this digest and name, the one of the highest package first."""
    return (
        select(*FILE_COLUMNS)
        .join(packages, packages.c.id == package_files.c.package_id)
        .outerjoin(package_names, _IS_ITS_NAME)
        .where(
            is_of(source, package_files.c.project_id),
            package_files.c.sha256 == sha256,
            package_files.c.file_name == file_name,
            _IS_DEFAULT,
            _IS_INSTALLABLE,
            _IS_OFFERED,
        )
        .order_by(package_files.c.package_id.desc(), package_files.c.id.desc())
        .limit(1)
    )


class _PullStatement:
    """A statement about what may be pulled: of a project made once, of a group anew for the projects that it opens.

    Args:
        make: makes it of a source and further values.
        names: of those values.
    """

    def __init__(self, make: Callable[..., Select[Any]], *names: str) -> None:
        self._make = make
        self._names = names
        self._of_project = make(bindparam("project"), *map(bindparam, names))

    def of(self, source: PullSource, *values: object) -> tuple[Select[Any], Values | None]:
        """Return the statement, and what to carry it out with."""
        if isinstance(source, GroupPull):
            return self._make(source, *values), None
        return self._of_project, {"project": source, **dict(zip(self._names, values, strict=True))}


_INDEX = _PullStatement(index_statement)
_PAGE = _PullStatement(page_statement, "name")
_INSTALLABLE_FILE = _PullStatement(installable_file_statement, "sha256", "file_name")


def unleased_statement(created_before: datetime, now: datetime, limit: int) -> Select[Any]:
    """Return files that wait for their first worker, oldest first."""
    return (
        select(*FILE_COLUMNS)
        .where(
            IS_PROCESSING,
            package_files.c.leased_until.is_(None),
            _is_before_or_ahead(package_files.c.created_at, created_before, now),
        )
        .order_by(package_files.c.created_at, package_files.c.id)
        .limit(limit)
    )


def lapsed_statement(now: datetime, lease_seconds: float, limit: int) -> Select[Any]:
    """Return files whose lease is over, or ends when no lease taken by now can end, oldest first."""
    latest = now + timedelta(seconds=lease_seconds)
    is_over = or_(package_files.c.leased_until <= now, package_files.c.leased_until > latest)
    return (
        select(*FILE_COLUMNS)
        .where(IS_PROCESSING, package_files.c.leased_until.is_not(None), is_over)
        .order_by(package_files.c.created_at, package_files.c.id)
        .limit(limit)
    )


def doomed_statement(doomed_before: datetime, now: datetime, limit: int) -> Select[Any]:
    """Return files that wait for their destruction, oldest first."""
    return (
        select(*FILE_COLUMNS)
        .where(IS_DOOMED, _is_before_or_ahead(package_files.c.doomed_at, doomed_before, now))
        .order_by(package_files.c.doomed_at, package_files.c.id)
        .limit(limit)
    )


def _is_before_or_ahead(column: ColumnElement[datetime], before: datetime, now: datetime) -> ColumnElement[bool]:
    """Say whether a row waits since before then, or since a time to come: that of a clock that was set back."""
    return or_(column < before, column > now + _AHEAD)


def _files(rows: Sequence[Row[Any]]) -> tuple[PackageFile, ...]:
    return tuple(PackageFile(**row._asdict()) for row in rows)


def _indexed_page(rows: Sequence[Row[Any]]) -> IndexedPage:
    markers = set()
    files = []
    for row in rows:
        told = row._asdict()
        status, reason = told.pop("name_status"), told.pop("name_reason")
        markers.add(UNMARKED if status is None else StatusMarker(status, reason))
        if row.file_id is not None:
            files.append(IndexedFile(**told))
    return IndexedPage(marker=common_marker(markers), files=tuple(files))


def _indexed_names(rows: Sequence[Row[Any]]) -> tuple[IndexedName, ...]:
    return tuple(_indexed_name(list(same_name)) for _, same_name in groupby(rows, lambda row: row.normalized_name))


def _indexed_name(same_name: list[Row[Any]]) -> IndexedName:
    first = same_name[0]
    # Parsing costs more than the query; most names of a project have one version.
    newest = max(same_name, key=lambda row: _precedence(row.version)) if len(same_name) > 1 else first
    return IndexedName(name=first.name, normalized_name=first.normalized_name, requires_python=newest.requires_python)


def _precedence(version: str) -> tuple[bool, Version]:
    try:
        return True, Version(version)
    except InvalidVersion:
        return False, Version("0")
