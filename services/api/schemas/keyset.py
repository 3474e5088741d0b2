"""What lists that are followed by a cursor are asked for.

Source: lib/gitlab/pagination/keyset/paginator.rb; lib/api/project_packages.rb; contract, Packages 5.2.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields

from services.api.schemas.grape import INVALID, NO_VALID_VALUE, GrapeSchema, JsonSchema
from services.api.schemas.list_fields import Number, number
from shared.pages import Cursor

_LARGEST_SIZE = 20
_ENCODED = re.compile(r"[A-Za-z0-9_-]{1,200}={0,2}", re.ASCII)
_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_FORWARD, _BACKWARD = "n", "p"


class _Size(fields.Field[int]):
    """How many entries to give at once."""

    def __init__(self) -> None:
        super().__init__(load_default=_LARGEST_SIZE)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": 1, "maximum": _LARGEST_SIZE, "default": _LARGEST_SIZE}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        size = number(value)
        if not 1 <= size <= _LARGEST_SIZE:
            raise ValidationError(NO_VALID_VALUE)
        return size


class Place(fields.Field[Cursor]):
    """What stood in the link of an earlier answer."""

    def __init__(self) -> None:
        super().__init__(load_default=None)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Cursor:
        cursor = _decode(value) if isinstance(value, str) and _ENCODED.fullmatch(value) else None
        if cursor is None:
            raise ValidationError(INVALID)
        return cursor


class KeysetQuerySchema(GrapeSchema):
    """Where in a list to go on; the number of a page is checked, and counts for nothing."""

    page = Number()
    per_page = _Size()
    cursor = Place()


@dataclass(frozen=True, slots=True)
class KeysetRequest:
    """Which entries of a list are wanted.

    Args:
        size: how many at most.
        cursor: None: those at its beginning.
    """

    size: int
    cursor: Cursor | None


def read_keyset_request(parameters: Mapping[str, Any]) -> KeysetRequest:
    """Return what the parameters ask for; those that are empty ask for nothing.

    Raises:
        InvalidParameters: a number is none, the size is none that is offered, or the cursor is none of ours.
    """
    found = KeysetQuerySchema().read({name: value for name, value in parameters.items() if value != ""})
    return KeysetRequest(size=found["per_page"], cursor=found["cursor"])


def encode_cursor(cursor: Cursor) -> str:
    """Return the cursor as clients keep it."""
    direction = _BACKWARD if cursor.is_backward else _FORWARD
    told = json.dumps({"id": str(cursor.id), "_kd": direction}, separators=(",", ":"))
    return base64.urlsafe_b64encode(told.encode()).decode()


def _decode(text: str) -> Cursor | None:
    bare = text.rstrip("=")
    try:
        told = json.loads(base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(told, dict) or told.keys() != {"id", "_kd"}:
        return None
    entry_id, direction = told["id"], told["_kd"]
    if not isinstance(entry_id, str) or not _ID.fullmatch(entry_id) or direction not in (_FORWARD, _BACKWARD):
        return None
    return Cursor(int(entry_id), is_backward=direction == _BACKWARD)
