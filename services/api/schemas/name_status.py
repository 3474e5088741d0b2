"""What is said of package names, as it comes in and goes out. Source: PEP 792."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields

from services.api.schemas.grape import GrapeSchema, Word
from services.api.schemas.reasons import Reason
from shared.names import NormalizedName
from shared.status_markers import NameStatus, StatusMarker


class NewNameStatusSchema(GrapeSchema):
    """What shall be said of a name."""

    status = Word(NameStatus, required=True)
    reason = Reason()


class NameStatusSchema(Schema):
    """What is said of a name."""

    name = fields.String()
    status = fields.String()
    reason = fields.String(allow_none=True)


def read_marker(parameters: Mapping[str, Any]) -> StatusMarker:
    """Return what shall be said of a name.

    Raises:
        InvalidParameters: the status is none of the four, or the reason is no single line of text, or too long.
    """
    found = NewNameStatusSchema().read(parameters)
    return StatusMarker(found["status"], found["reason"])


def dump_marker(name: NormalizedName, marker: StatusMarker) -> dict[str, Any]:
    """Return what is said of a name."""
    return dict(NameStatusSchema().dump({"name": name, "status": marker.status, "reason": marker.reason}))
