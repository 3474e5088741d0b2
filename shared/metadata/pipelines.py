"""Pipelines in SQL."""

from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Row

from shared.metadata.access_tables import pipelines
from shared.metadata.tenant_tables import users
from shared.models import Pipeline, User

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
