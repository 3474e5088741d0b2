"""Yanks as they come in, and yanked packages and files as they go out."""

from collections.abc import Mapping
from typing import Any

from services.api.schemas.grape import GrapeSchema
from services.api.schemas.packages import PackageFileSchema, PackageSchema, YankSchema
from services.api.schemas.reasons import Reason


class NewYankSchema(GrapeSchema):
    """Why something is yanked."""

    reason = Reason()


class YankedPackageSchema(PackageSchema, YankSchema):
    """A package that is yanked."""


class YankedPackageFileSchema(PackageFileSchema, YankSchema):
    """A file that is yanked, by itself or with its package."""


def read_reason(parameters: Mapping[str, Any]) -> str | None:
    """Return why something is yanked; None when no reason is given.

    Raises:
        InvalidParameters: the reason is no single line of text, or too long.
    """
    reason: str | None = NewYankSchema().read(parameters)["reason"]
    return reason
