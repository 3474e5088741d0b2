"""Reasons that people give, as they come in."""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from services.api.schemas.grape import INVALID, JsonSchema

MAX_REASON_CHARACTERS = 1000
# Whatever ends a line or steers a terminal: installers print reasons as they are.
_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Reason(fields.Field[str | None]):
    """One line of text; a blank one is none."""

    def __init__(self) -> None:
        """Declare a reason."""
        super().__init__(load_default=None)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": ["string", "null"], "maxLength": MAX_REASON_CHARACTERS}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str | None:
        if not isinstance(value, str) or _UNWANTED.search(value):
            raise ValidationError(INVALID)
        if len(value) > MAX_REASON_CHARACTERS:
            raise ValidationError(f"is too long (maximum is {MAX_REASON_CHARACTERS} characters)")
        return value if value.strip() else None
