"""Fields that the parameters of lists and members share."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from marshmallow import ValidationError, fields

from services.api.schemas.grape import INVALID, NO_VALID_VALUE, JsonSchema
from shared.models import AccessLevel

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_LARGEST_ID = 2**63 - 1
_MOST_IDS = 1000
_LEVELS = frozenset(AccessLevel) - {AccessLevel.NO_ACCESS}


class Direction(StrEnum):
    """Which way a list is sorted."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class Number(fields.Field[int]):
    """An integer, or its digits."""

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "integer"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        return number(value)


class Level(fields.Field[AccessLevel]):
    """A level that members can have."""

    def __init__(self) -> None:
        """Declare a level."""
        super().__init__(load_default=None)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "integer", "enum": sorted(_LEVELS)}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> AccessLevel:
        level = number(value)
        if level not in _LEVELS:
            raise ValidationError(NO_VALID_VALUE)
        return AccessLevel(level)


class Ids(fields.Field[tuple[int, ...]]):
    """Numbers of records: a list, or separated by commas."""

    def __init__(self) -> None:
        """Declare a set of ids."""
        super().__init__(load_default=None)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": _MOST_IDS}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[int, ...]:
        parts = value if isinstance(value, list) else [value]
        texts = [text for part in parts for text in (part.split(",") if isinstance(part, str) else [part])]
        if len(texts) > _MOST_IDS:
            raise ValidationError(INVALID)
        ids = tuple(number(text) for text in texts if text != "")
        if any(not 0 < one <= _LARGEST_ID for one in ids):
            raise ValidationError(INVALID)
        return ids


def number(value: object) -> int:
    """Return the value as an integer.

    Raises:
        ValidationError: it is none.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST_ID:
        raise ValidationError(INVALID)
    return value
