"""Changes of packages as they come in."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from services.api.schemas.grape import MISSING, NO_VALID_VALUE, GrapeSchema, JsonSchema
from shared.models import INSTALLABLE, PackageStatus


class _SettableStatus(fields.Field[PackageStatus]):
    def __init__(self) -> None:
        super().__init__(required=True, error_messages={"required": MISSING, "null": MISSING})

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "enum": sorted(INSTALLABLE)}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> PackageStatus:
        if not isinstance(value, str) or value not in tuple(INSTALLABLE):
            raise ValidationError(NO_VALID_VALUE)
        return PackageStatus(value)


class PackageChangeSchema(GrapeSchema):
    """What to change of a package."""

    status = _SettableStatus()


def read_package_status(parameters: Mapping[str, Any]) -> PackageStatus:
    """Return the status that a package shall have.

    Raises:
        InvalidParameters: none is named, or not one that can be set.
    """
    status: PackageStatus = PackageChangeSchema().read(parameters)["status"]
    return status
