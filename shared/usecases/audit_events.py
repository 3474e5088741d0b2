"""Show who did what to those who may know: the maintainers of a project, the owners of a group, administrators."""

from dataclasses import dataclass

from shared.errors import RecordNotFound
from shared.pages import Cursor, Page, PageRequest, Stretch
from shared.ports.audit_rows import AuditEventId, AuditFilter, RecordedEvent
from shared.ports.metadata_store import MetadataStore


@dataclass(frozen=True, slots=True)
class ListAuditEvents:
    """List audit events, the newest first."""

    store: MetadataStore

    async def page(self, wanted: AuditFilter, page: PageRequest) -> Page[RecordedEvent]:
        """Return a page of the events."""
        async with self.store.reading() as rows:
            return await rows.audit_events.page(wanted, page)

    async def stretch(self, wanted: AuditFilter, *, cursor: Cursor | None, limit: int) -> Stretch[RecordedEvent]:
        """Return some events, from the newest one or from the cursor on."""
        async with self.store.reading() as rows:
            return await rows.audit_events.stretch(wanted, cursor=cursor, limit=limit)


@dataclass(frozen=True, slots=True)
class ShowAuditEvent:
    """Show one audit event."""

    store: MetadataStore

    async def __call__(self, wanted: AuditFilter, event_id: AuditEventId) -> RecordedEvent:
        """Return the event.

        Raises:
            RecordNotFound: there is none among those wanted.
        """
        async with self.store.reading() as rows:
            found = await rows.audit_events.event(wanted, event_id)
        if found is None:
            raise RecordNotFound
        return found
