"""Reasons that people give, as they come in."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from services.api.schemas.grape import INVALID, JsonSchema
from shared.lines import is_line

MAX_REASON_CHARACTERS = 1000


class Reason(fields.Field[str | None]):
    """One line of text; a blank one is none."""

    def __init__(self) -> None:
        """Declare a reason."""
        super().__init__(load_default=None)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": ["string", "null"], "maxLength": MAX_REASON_CHARACTERS}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str | None:
        if not isinstance(value, str) or not is_line(value):
            raise ValidationError(INVALID)
        if len(value) > MAX_REASON_CHARACTERS:
            raise ValidationError(f"is too long (maximum is {MAX_REASON_CHARACTERS} characters)")
        return value if value.strip() else None
