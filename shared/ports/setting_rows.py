"""The part of the metadata port that is about what administrators decide for the whole instance."""

from collections.abc import Mapping
from typing import Protocol

from shared.models import InstanceSettings

SettingValue = bool | int | str
"""What a setting may be, as JSON has it."""


class SettingReads(Protocol):
    """Look up settings."""

    async def read(self, defaults: InstanceSettings) -> InstanceSettings:
        """Return the settings: the defaults, with what was decided in their place. Unknown names are ignored."""
        ...


class SettingWrites(SettingReads, Protocol):
    """Change settings."""

    async def decide(self, changes: Mapping[str, SettingValue]) -> None:
        """Put these values in place of the defaults, by the names of the fields of `InstanceSettings`."""
        ...
