"""What the audit is told of those who change packages."""

from shared.models import SignedIn
from shared.ports.metadata_store import AuditEvent
from shared.usecases.admission import Visit


def visitor_event(action: str, visit: Visit, *, target: str, details: dict[str, str | int | None]) -> AuditEvent:
    """Return the event of what the visitor does in the project."""
    caller = visit.principal
    if not isinstance(caller, SignedIn):
        raise TypeError("who changes a package is somebody")
    return AuditEvent(
        action=action,
        actor=f"user:{caller.user.id}",
        target=target,
        project_id=visit.project.id,
        token_id=caller.token_id,
        details=details,
    )
