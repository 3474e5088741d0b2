"""Package protection rules as they come in and go out.

Source: lib/api/project_packages_protection_rules.rb, lib/api/entities/projects/packages/protection/rule.rb; contract,
Packages 8.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validates_schema

from services.api.body import MAX_PARAMETERS_BYTES
from services.api.schemas.grape import INVALID, MISSING, NO_VALID_VALUE, GrapeSchema, JsonSchema, Text
from shared.protection import MAX_PATTERN_CHARACTERS, ProtectedPackageType, ProtectionLevel, ProtectionTerms
from shared.usecases.protection_rules import MinimumLevel, ProtectionRuleChange

RULE_ID = "package_protection_rule_id"
_PUSH, _DELETE = "minimum_access_level_for_push", "minimum_access_level_for_delete"
_NEITHER = f"{_PUSH}, {_DELETE} are missing, at least one parameter must be provided"
_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)


class _Null:
    """A level that was given, as null: `GrapeSchema` takes null for absent."""


_NULL: Final = _Null()


class _Pattern(Text):
    """A pattern; how long it may be is a rule about records, which is told otherwise than what parameters may be."""

    def __init__(self, *, required: bool) -> None:
        super().__init__(max_length=MAX_PARAMETERS_BYTES, required=required, is_long=True)

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN_CHARACTERS}


class _RuleId(fields.Field[str]):
    """The number of a rule, as the URL has it; whether there is such a rule turns out later."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not _NUMBER.fullmatch(value):
            raise ValidationError(INVALID)
        return value


class _Type(fields.Field[ProtectedPackageType]):
    def __init__(self, *, required: bool) -> None:
        super().__init__(required=required, error_messages={"required": MISSING})

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "enum": list(ProtectedPackageType)}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> ProtectedPackageType:
        if not isinstance(value, str) or value not in tuple(ProtectedPackageType):
            raise ValidationError(NO_VALID_VALUE)
        return ProtectedPackageType(value)


class _Level(fields.Field[MinimumLevel]):
    def __init__(self, *levels: ProtectionLevel) -> None:
        super().__init__()
        self.levels = levels

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": ["string", "null"], "enum": [*self.levels, None]}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> MinimumLevel:
        if value is _NULL:
            return MinimumLevel(None)
        if not isinstance(value, str) or value not in self.levels:
            raise ValidationError(NO_VALID_VALUE)
        return MinimumLevel(ProtectionLevel(value))


class NewRuleSchema(GrapeSchema):
    """A rule to add; at least one of the levels is given."""

    package_name_pattern = _Pattern(required=True)
    package_type = _Type(required=True)
    minimum_access_level_for_push = _Level(*ProtectionLevel)
    minimum_access_level_for_delete = _Level(ProtectionLevel.OWNER, ProtectionLevel.ADMIN)

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_that_a_level_is_given(self, data: object, original: dict[str, Any], **kwargs: object) -> None:
        if _PUSH not in original and _DELETE not in original:
            raise ValidationError(_NEITHER)


class RuleChangeSchema(GrapeSchema):
    """What becomes of a rule; what is absent stays, and a null level ends one."""

    package_name_pattern = _Pattern(required=False)
    package_type = _Type(required=False)
    minimum_access_level_for_push = _Level(*ProtectionLevel)
    minimum_access_level_for_delete = _Level(ProtectionLevel.OWNER, ProtectionLevel.ADMIN)


class _RuleIdSchema(GrapeSchema):
    package_protection_rule_id = _RuleId(required=True)


class _RuleChangeWithIdSchema(RuleChangeSchema, _RuleIdSchema):  # in this order, the id is declared first
    pass


class ProtectionRuleSchema(Schema):
    """A rule."""

    id = fields.Integer()
    project_id = fields.Integer()
    package_name_pattern = fields.String(attribute="terms.package_name_pattern")
    package_type = fields.String(attribute="terms.package_type")
    minimum_access_level_for_delete = fields.String(attribute="terms.minimum_access_level_for_delete", allow_none=True)
    minimum_access_level_for_push = fields.String(attribute="terms.minimum_access_level_for_push", allow_none=True)


def read_new_rule(parameters: Mapping[str, Any]) -> ProtectionTerms:
    """Return what a rule of these parameters would say.

    Raises:
        InvalidParameters: that cannot be told.
    """
    found = NewRuleSchema().read(_with_nulls(parameters))
    none = MinimumLevel(None)
    return ProtectionTerms(
        package_name_pattern=found["package_name_pattern"],
        package_type=found["package_type"],
        minimum_access_level_for_push=found.get(_PUSH, none).level,
        minimum_access_level_for_delete=found.get(_DELETE, none).level,
    )


def read_rule_change(parameters: Mapping[str, Any]) -> ProtectionRuleChange:
    """Return what shall become of a rule; a null level ends one, an absent level keeps it.

    Raises:
        InvalidParameters: that cannot be told, or the id in the URL is none.
    """
    found = _RuleChangeWithIdSchema().read(_with_nulls(parameters))
    return ProtectionRuleChange(
        package_name_pattern=found.get("package_name_pattern"),
        package_type=found.get("package_type"),
        for_push=found.get(_PUSH),
        for_delete=found.get(_DELETE),
    )


def check_rule_id(parameters: Mapping[str, Any]) -> None:
    """Refuse an id in the URL that is none.

    Raises:
        InvalidParameters: it is no whole number.
    """
    _RuleIdSchema().read(parameters)


def _with_nulls(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with null told from absent: of a level it means none, of all else it is empty."""
    return {
        name: (_NULL if name in (_PUSH, _DELETE) else "") if value is None else value
        for name, value in parameters.items()
    }
