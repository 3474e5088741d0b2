"""From rows to records: the columns of a table that make up a record are those that its fields name."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def columns_of(table: Table, record: "type[DataclassInstance]") -> tuple[Column[Any], ...]:
    """Return the table's columns for the fields of the record, in the record's order."""
    return tuple(table.c[field.name] for field in fields(record))
