"""The settings of the instance in SQL: a row for each that was decided."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import select

from shared.metadata.tables import instance_settings
from shared.metadata.transaction import Transaction
from shared.models import CounterScope, InstanceSettings, Visibility
from shared.ports.setting_rows import SettingValue

_NAMES = frozenset(field.name for field in fields(InstanceSettings))
_VISIBILITIES = frozenset({"default_project_visibility", "default_group_visibility"})
_INSTANCE = 0
_ALL = select(instance_settings.c.name, instance_settings.c.value)


class SqlSettingReads:
    """Implements SettingReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def read(self, defaults: InstanceSettings) -> InstanceSettings:
        rows = await self._transaction.rows(_ALL, {})
        decided: dict[str, Any] = {
            row.name: Visibility(row.value) if row.name in _VISIBILITIES else row.value
            for row in rows
            if row.name in _NAMES
        }
        return replace(defaults, **decided)


class SqlSettingWrites(SqlSettingReads):
    """Implements SettingWrites."""

    async def decide(self, changes: Mapping[str, SettingValue]) -> None:
        for name, value in sorted(changes.items()):
            decided = {"value": value, "updated_at": self._transaction.now()}
            await self._transaction.change(
                self._transaction.insert(instance_settings)
                .values(name=name, **decided)
                .on_conflict_do_update(index_elements=["name"], set_=decided)
            )
        if changes:
            self._transaction.touch(CounterScope.INSTANCE, _INSTANCE)
