"""Holds on the destruction of blobs, in SQL."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, not_, select, update

from shared.metadata.tables import destruction_holds
from shared.metadata.transaction import Transaction
from shared.ports.hold_rows import LONGEST_HOLD, HoldId


class SqlHoldReads:
    """Implements HoldReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def is_destruction_held(self, *, now: datetime) -> bool:
        found = await self._transaction.row(select(destruction_holds.c.id).where(_is_in_force(now)).limit(1))
        return found is not None


class SqlHoldWrites(SqlHoldReads):
    """Implements HoldWrites."""

    async def hold_destruction(self, holder: str, *, now: datetime, until: datetime) -> HoldId:
        await self._transaction.change(delete(destruction_holds).where(not_(_is_in_force(now))))
        row = await self._transaction.row(
            self._transaction.insert(destruction_holds)
            .values(holder=holder, placed_at=now, expires_at=until)
            .returning(destruction_holds.c.id)
        )
        assert row is not None
        return HoldId(row.id)

    async def renew_hold(self, hold_id: HoldId, *, now: datetime, until: datetime) -> bool:
        ours = update(destruction_holds).where(destruction_holds.c.id == hold_id, _is_in_force(now))
        return await self._transaction.change(ours.values(expires_at=until)) == 1

    async def lift_hold(self, hold_id: HoldId) -> None:
        await self._transaction.change(delete(destruction_holds).where(destruction_holds.c.id == hold_id))


def _is_in_force(now: datetime) -> ColumnElement[bool]:
    ends = destruction_holds.c.expires_at
    return and_(ends > now, ends <= now + LONGEST_HOLD)
