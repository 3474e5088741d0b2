"""What the audit is told of those who change packages."""

from shared.ports.metadata_store import AuditEvent
from shared.principals import Anonymous, actor_of
from shared.usecases.visits import Visit


def visitor_event(action: str, visit: Visit, *, target: str, details: dict[str, str | int | None]) -> AuditEvent:
    """Return the event of what the visitor does in the project."""
    caller = visit.principal
    if isinstance(caller, Anonymous):
        raise TypeError("who changes a package is somebody")
    return AuditEvent(
        action=action,
        actor=actor_of(caller),
        target=target,
        project_id=visit.project.id,
        token_id=caller.token_id,
        details=details,
    )
