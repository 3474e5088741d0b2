"""Pipelines in SQL: those that are linked to packages and to their files."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Row, ScalarSelect, Select, func, select

from shared.metadata.access_tables import pipelines
from shared.metadata.package_tables import build_links, packages
from shared.metadata.tenant_tables import users
from shared.models import PackageFileId, PackageId, Pipeline, User
from shared.pages import Cursor

_PIPELINE_PREFIX, _USER_PREFIX = "pipeline_", "user_"
_PIPELINE_FIELDS = tuple(field.name for field in fields(Pipeline) if field.name != "user")
_USER_FIELDS = tuple(field.name for field in fields(User))


def pipeline_columns() -> list[ColumnElement[Any]]:
    """Return what `pipeline_of` needs of a row."""
    return [
        *(pipelines.c[name].label(_PIPELINE_PREFIX + name) for name in _PIPELINE_FIELDS),
        *(users.c[name].label(_USER_PREFIX + name) for name in _USER_FIELDS),
    ]


def pipeline_of(row: Row[Any]) -> Pipeline | None:
    """Return the pipeline of a row, or None when it has none."""
    found = row._mapping
    if found[f"{_PIPELINE_PREFIX}id"] is None:
        return None
    has_user = found[f"{_USER_PREFIX}id"] is not None
    return Pipeline(
        user=User(**{name: found[_USER_PREFIX + name] for name in _USER_FIELDS}) if has_user else None,
        **{name: found[_PIPELINE_PREFIX + name] for name in _PIPELINE_FIELDS},
    )


def with_latest_pipeline(statement: Select[Any]) -> Select[Any]:
    """Return the statement about packages with the last pipeline that built each of them, if one did."""
    return (
        statement.select_from(packages)
        .outerjoin(build_links, build_links.c.id == _latest_link())
        .outerjoin(pipelines, pipelines.c.id == build_links.c.pipeline_id)
        .outerjoin(users, users.c.id == pipelines.c.user_id)
        .add_columns(*pipeline_columns())
    )


def pipelines_statement(package_id: PackageId, cursor: Cursor | None, limit: int) -> Select[Any]:
    """Return the links of a package on one side of the cursor, those next to it first."""
    statement = _linked(select(build_links.c.id.label("link_id"), *pipeline_columns())).where(
        build_links.c.package_id == package_id, build_links.c.package_file_id.is_(None)
    )
    if cursor is None:
        return statement.order_by(build_links.c.id.desc()).limit(limit)
    if cursor.is_backward:
        return statement.where(build_links.c.id > cursor.id).order_by(build_links.c.id).limit(limit)
    return statement.where(build_links.c.id < cursor.id).order_by(build_links.c.id.desc()).limit(limit)


def pipelines_of_files_statement(package_id: PackageId, file_ids: Sequence[PackageFileId]) -> Select[Any]:
    """Return a row for each of the files and each pipeline that built it, the first one first."""
    return (
        _linked(select(build_links.c.package_file_id, *pipeline_columns()))
        .where(build_links.c.package_id == package_id, build_links.c.package_file_id.in_(file_ids))
        .order_by(build_links.c.id)
    )


def _linked(statement: Select[Any]) -> Select[Any]:
    return (
        statement.select_from(build_links)
        .join(pipelines, pipelines.c.id == build_links.c.pipeline_id)
        .outerjoin(users, users.c.id == pipelines.c.user_id)
    )


def _latest_link() -> ScalarSelect[Any]:
    newest = build_links.alias("newest_links")
    return (
        select(func.max(newest.c.id))
        .where(newest.c.package_id == packages.c.id, newest.c.package_file_id.is_(None))
        .correlate(packages)
        .scalar_subquery()
    )
