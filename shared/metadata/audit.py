"""Audit events: written in the transaction that does what they tell of."""

from sqlalchemy import insert

from shared.metadata.tables import audit_events
from shared.metadata.transaction import Transaction
from shared.ports.metadata_store import AuditEvent


async def write_audit_event(transaction: Transaction, event: AuditEvent) -> None:
    """Write down who did what."""
    await transaction.change(
        insert(audit_events).values(
            created_at=transaction.now(),
            action=event.action,
            actor=event.actor,
            target=event.target,
            project_id=event.project_id,
            namespace_id=event.namespace_id,
            token_id=event.token_id,
            details=event.details,
        )
    )
