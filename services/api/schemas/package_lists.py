"""What lists of packages are asked for.

Source: lib/api/project_packages.rb, group_packages.rb and package_files.rb; contract, Packages 2, 3 and 5.3.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from marshmallow import ValidationError, fields

from services.api.schemas.grape import INVALID, GrapeSchema, JsonSchema, Text, Truth, Word
from services.api.schemas.list_fields import Direction
from shared.models import PackageStatus
from shared.ports.package_lists import PackageFileOrder, PackageOrder
from shared.usecases.package_lists import PackageQuery, PackageType

_LONGEST_TEXT = 8192
"""More does not fit into a request line."""
_MOST_WORDS = 100
"""Each is a condition of the query, of which databases take only so many."""
# Source: lib/gitlab/sql/pattern.rb. What stands in quotation marks is one word.
_WORD = re.compile(r'(?:(?<=\s)|\A)"(?P<quoted>[^"]+)"(?=\s|\Z)|(?P<bare>\S+)')


class _ProjectListOrder(StrEnum):
    CREATED_AT = PackageOrder.CREATED_AT
    NAME = PackageOrder.NAME
    VERSION = PackageOrder.VERSION
    TYPE = PackageOrder.TYPE


class _Flag(Truth):
    """Yes or no; an empty text is no."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        return False if value == "" else super()._deserialize(value, attr, data, **kwargs)


class _SearchWords(fields.Field[tuple[str, ...]]):
    """Words to look for."""

    def __init__(self) -> None:
        super().__init__(load_default=())
        self.text = Text(max_length=_LONGEST_TEXT, is_long=True)

    @property
    def json_schema(self) -> JsonSchema:
        return self.text.json_schema

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, ...]:
        text = self.text.deserialize(value, attr, data)
        words = tuple(dict.fromkeys(found["quoted"] or found["bare"] for found in _WORD.finditer(text or "")))
        if len(words) > _MOST_WORDS:
            raise ValidationError(INVALID)
        return words


class PackageQuerySchema(GrapeSchema):
    """Which packages of a project to list."""

    order_by: fields.Field[Any] = Word(_ProjectListOrder)
    sort = Word(Direction)
    package_type = Word(PackageType)
    package_name = _SearchWords()
    package_version = Text(max_length=_LONGEST_TEXT, is_long=True)
    include_versionless = _Flag()
    status = Word(PackageStatus)


class GroupPackageQuerySchema(PackageQuerySchema):
    """Which packages of a group to list."""

    exclude_subgroups = _Flag()
    order_by = Word(PackageOrder)


class PackageFileQuerySchema(GrapeSchema):
    """Which order to list package files in."""

    order_by = Word(PackageFileOrder)
    sort = Word(Direction)


def read_package_query(parameters: Mapping[str, Any]) -> PackageQuery:
    """Return which packages of a project are asked for.

    Raises:
        InvalidParameters: that cannot be told.
    """
    return _query(PackageQuerySchema().read(parameters))


def read_group_package_query(parameters: Mapping[str, Any]) -> tuple[PackageQuery, bool]:
    """Return which packages of a group are asked for, and whether those of its subgroups are.

    Raises:
        InvalidParameters: that cannot be told.
    """
    found = GroupPackageQuerySchema().read(parameters)
    return _query(found), not found["exclude_subgroups"]


def read_package_file_order(parameters: Mapping[str, Any]) -> tuple[PackageFileOrder, bool]:
    """Return by what package files are to be sorted, and whether from the last one on.

    Raises:
        InvalidParameters: that cannot be told.
    """
    found = PackageFileQuerySchema().read(parameters)
    return found["order_by"] or PackageFileOrder.ID, found["sort"] is Direction.DESCENDING


def _query(found: Mapping[str, Any]) -> PackageQuery:
    version: str = found.get("package_version", "")
    return PackageQuery(
        package_type=found["package_type"],
        words=found["package_name"],
        version=version if version.strip() else None,
        status=found["status"],
        order=PackageOrder(found["order_by"] or PackageOrder.CREATED_AT),
        is_descending=found["sort"] is Direction.DESCENDING,
    )
