"""The settings and limits of the instance as they come in and go out.

Source: lib/api/settings.rb, lib/api/admin/plan_limits.rb; contract, control plane 11.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from marshmallow import Schema, fields

from services.api.schemas.grape import GrapeSchema, Size, Truth, Word
from shared.models import Visibility
from shared.ports.setting_rows import SettingValue


class _Plan(StrEnum):
    DEFAULT = "default"


class NewSettingsSchema(GrapeSchema):
    """Settings to change."""

    pypi_package_requests_forwarding = Truth()
    lock_pypi_package_requests_forwarding = Truth()
    package_registry_allow_anyone_to_pull_option = Truth()
    default_project_visibility = Word(Visibility)
    default_group_visibility = Word(Visibility)
    allow_guest_plus_roles_to_pull_packages = Truth()
    packages_protected_packages_delete = Truth()


class PlanSchema(GrapeSchema):
    """Which plan is meant."""

    plan_name = Word(_Plan)


class NewLimitsSchema(PlanSchema):
    """Limits to change."""

    pypi_max_file_size = Size()


class SettingsSchema(Schema):
    """The settings of the instance."""

    pypi_package_requests_forwarding = fields.Boolean()
    lock_pypi_package_requests_forwarding = fields.Boolean()
    package_registry_allow_anyone_to_pull_option = fields.Boolean()
    default_project_visibility = fields.String()
    default_group_visibility = fields.String()
    allow_guest_plus_roles_to_pull_packages = fields.Boolean()
    packages_protected_packages_delete = fields.Boolean()


class LimitsSchema(Schema):
    """The limits of the one plan that there is."""

    pypi_max_file_size = fields.Integer()


def read_settings_change(parameters: Mapping[str, Any]) -> dict[str, SettingValue]:
    """Return the settings that these parameters change, by name; what is no setting is ignored.

    Raises:
        InvalidParameters: one of them is malformed.
    """
    return {name: value for name, value in NewSettingsSchema().read(parameters).items() if value is not None}


def check_plan(parameters: Mapping[str, Any]) -> None:
    """Refuse to speak of another plan than the one that there is.

    Raises:
        InvalidParameters: another one is named.
    """
    PlanSchema().read(parameters)


def read_limits_change(parameters: Mapping[str, Any]) -> dict[str, SettingValue]:
    """Return the limits that these parameters change, by name.

    Raises:
        InvalidParameters: one of them is malformed, or another plan is named.
    """
    limits = NewLimitsSchema().read(parameters)
    del limits["plan_name"]
    return limits
