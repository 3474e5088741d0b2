"""The part of the metadata port that reads the audit. Nothing changes or removes an event; a database refuses to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NewType, Protocol

from shared.models import NamespaceId, ProjectId, TokenId, UserId
from shared.pages import Cursor, Page, PageRequest, Stretch

AuditEventId = NewType("AuditEventId", int)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events are wanted.

    Args:
        project_id: only those of this project; None: of any, and of none.
        namespace_id: only those of this group, and those of its projects that tell of the project as a whole; None:
            of any, and of none.
        created_after: from this instant on; None: from the first one on.
        created_before: up to and with this instant; None: to the last one.
    """

    project_id: ProjectId | None = None
    namespace_id: NamespaceId | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """What somebody did, as it was written down, with what is known today of those whom it names.

    Args:
        action, actor, target, details: as `AuditEvent` has them.
        token_id: the token that the actor came with, or None when nobody came.
        author_id: the user who acted or as whom a job did; None for deploy tokens and for Larder itself.
        author_name: what this user is called.
        project_path: the full path of the project, also of one that was deleted; None when it tells of none.
        namespace_path: likewise, of the group or personal namespace.
    """

    id: AuditEventId
    created_at: datetime
    action: str
    actor: str
    target: str
    project_id: ProjectId | None
    namespace_id: NamespaceId | None
    token_id: TokenId | None
    details: Mapping[str, str | int | None]
    author_id: UserId | None
    author_name: str | None
    project_path: str | None
    namespace_path: str | None


class AuditReads(Protocol):
    """Read the audit, newest events first; those of one instant by descending id."""

    async def page(self, wanted: AuditFilter, page: PageRequest) -> Page[RecordedEvent]:
        """Return a page of the events."""
        ...

    async def stretch(self, wanted: AuditFilter, *, cursor: Cursor | None, limit: int) -> Stretch[RecordedEvent]:
        """Return some events, from the newest one or from the cursor on; none when the cursor names no event."""
        ...

    async def event(self, wanted: AuditFilter, event_id: AuditEventId) -> RecordedEvent | None:
        """Return one of the events, or None."""
        ...
