"""What the schemas of incoming parameters share: GitLab's way of telling what is wrong with them.

Each field's error is the end of a sentence that begins with its name: "name is missing", "visibility does not have a
valid value". Source: the Grape framework's wording, as GitLab's API answers with it.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any, TypeVar, cast

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing

from shared.errors import InvalidParameters

MISSING = "is missing"
INVALID = "is invalid"
NO_VALID_VALUE = "does not have a valid value"

_LARGEST_ID = 2**63 - 1
_LONGEST_TIME = 40
_UNWANTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_LINE_BREAK = re.compile(r"[\t\r\n]")
_BOOLEANS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}

JsonSchema = dict[str, Any]
"""What a field takes, as the API's own description tells it: a JSON Schema, by its property `json_schema`."""

W = TypeVar("W", bound=StrEnum)


class GrapeSchema(Schema):
    """A set of parameters; those that it does not know are ignored, and null is as good as absent."""

    class Meta:
        """marshmallow's settings."""

        unknown = EXCLUDE

    def read(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that the schema knows, checked and converted.

        Raises:
            InvalidParameters: with one sentence for each that is wrong, in the order in which they are declared.
        """
        try:
            loaded = self.load({name: value for name, value in parameters.items() if value is not None})
        except ValidationError as error:
            found = cast(dict[str, list[str] | dict[str, list[str]]], error.messages)  # see `Part`
            declared = [name for name in self.load_fields if name in found]
            rest = [name for name in found if name not in declared]
            raise InvalidParameters(
                *(f"{name}{part} {text}" for name in declared for part, text in _parts(found[name])),
                *(text for name in rest for _, text in _parts(found[name])),
            ) from None
        return dict(loaded)


class Text(fields.Field[str]):
    """A text of bounded length, without control characters."""

    def __init__(self, *, max_length: int, required: bool = False, is_long: bool = False) -> None:
        """Declare a text.

        Args:
            is_long: line breaks are welcome, and so is nothing at all.
        """
        super().__init__(required=required, error_messages={"required": MISSING, "null": MISSING})
        self.max_length = max_length
        self.is_long = is_long

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "maxLength": self.max_length}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or _UNWANTED.search(value):
            raise ValidationError(INVALID)
        if not self.is_long and _LINE_BREAK.search(value):
            raise ValidationError(INVALID)
        if not self.is_long and not value.strip():
            raise ValidationError("is empty")
        if len(value) > self.max_length:
            raise ValidationError(f"is too long (maximum is {self.max_length} characters)")
        return value


class Id(fields.Field[int | None]):
    """The number of a record: an integer, or its digits; an empty text is none."""

    def __init__(self) -> None:
        """Declare an id."""
        super().__init__(load_default=None)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": 1}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int | None:
        if value == "":
            return None
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LARGEST_ID:
            raise ValidationError(INVALID)
        return value


class Part(fields.Field[dict[str, Any]]):
    """An object among the parameters, which must be there; what is wrong in it is told of `name[key]`."""

    def __init__(self, schema: type[GrapeSchema]) -> None:
        """Declare an object that this schema describes."""
        super().__init__()
        self.schema_of_part = schema

    @property
    def json_schema(self) -> JsonSchema:
        parts = self.schema_of_part().load_fields
        return {
            "type": "object",
            "properties": {name: getattr(part, "json_schema", {}) for name, part in parts.items()},
            "required": [name for name, part in parts.items() if part.required],
        }

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the object, checked and converted; Grape looks for what must be in it even where it is none."""
        schema, problems = self.schema_of_part(), {}
        if not isinstance(value, dict):
            problems[""] = [MISSING if value is missing else INVALID]
            value = {}
        try:
            loaded = schema.load({name: each for name, each in value.items() if each is not None and each != ""})
        except ValidationError as error:
            told = cast(dict[str, list[str]], error.messages)
            problems |= {f"[{name}]": told[name] for name in schema.load_fields if name in told}
        if problems:
            raise ValidationError(problems)
        return dict(loaded)


class Words(fields.Field[tuple[str, ...]]):
    """Some of a few words: a list, or a text with commas between them."""

    def __init__(self, words: tuple[str, ...], *, required: bool = False) -> None:
        """Declare a choice among these words."""
        super().__init__(required=required, error_messages={"required": MISSING, "null": MISSING})
        self.words = words

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "array", "items": {"type": "string", "enum": list(self.words)}}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, ...]:
        named = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
        if not isinstance(named, list) or not all(isinstance(word, str) for word in named):
            raise ValidationError(INVALID)
        if not any(named):
            raise ValidationError("is empty")
        if not set(named) <= set(self.words):
            raise ValidationError(NO_VALID_VALUE)
        return tuple(dict.fromkeys(named))


class Size(fields.Field[int]):
    """A number of bytes: a whole number from 0, or its digits."""

    def __init__(self) -> None:
        """Declare a size."""
        super().__init__()

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": 0}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_ID:
            raise ValidationError(INVALID)
        return value


class Day(fields.Field[date | None]):
    """A day as ISO 8601 writes it; of an instant, its day counts. An empty text is none."""

    def __init__(self) -> None:
        """Declare a day."""
        super().__init__(load_default=None)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "format": "date"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> date | None:
        if value == "":
            return None
        if not isinstance(value, str) or len(value) > _LONGEST_TIME:
            raise ValidationError(INVALID)
        try:
            return datetime.fromisoformat(value).date()
        except ValueError:
            raise ValidationError(INVALID) from None


class Moment(fields.Field[datetime]):
    """An instant as ISO 8601 writes it; without a zone it is UTC, without a time it is midnight."""

    def __init__(self) -> None:
        """Declare an instant."""
        super().__init__(load_default=None)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "format": "date-time"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        if not isinstance(value, str) or len(value) > _LONGEST_TIME:
            raise ValidationError(INVALID)
        try:
            at = datetime.fromisoformat(value)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError(INVALID) from None


class Word(fields.Field[W]):
    """One of a few words."""

    def __init__(self, words: type[W], *, required: bool = False) -> None:
        """Declare a choice among the members of an enumeration."""
        super().__init__(
            required=required,
            load_default=missing if required else None,
            error_messages={"required": MISSING, "null": MISSING},
        )
        self.words = words

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "enum": list(self.words)}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> W:
        if not isinstance(value, str) or value not in tuple(self.words):
            raise ValidationError(NO_VALID_VALUE)
        return self.words(value)


class Truth(fields.Field[bool]):
    """Yes or no, as JSON says it or as a form or a Python client spells it."""

    def __init__(self, *, required: bool = False) -> None:
        """Declare a boolean."""
        super().__init__(
            required=required,
            load_default=missing if required else None,
            error_messages={"required": MISSING, "null": MISSING},
        )

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "boolean"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        known = _BOOLEANS.get(str(value).lower()) if isinstance(value, (bool, int, str)) else None
        if known is None:
            raise ValidationError(INVALID)
        return known


def _parts(found: list[str] | dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return what is wrong with a field, by the part of it."""
    if isinstance(found, dict):
        return [(part, texts[0]) for part, texts in found.items()]
    return [("", found[0])]


def start_of(day: date | None) -> datetime | None:
    """Return the first instant of a day, in UTC; None for none."""
    return None if day is None else datetime.combine(day, time(), UTC)
