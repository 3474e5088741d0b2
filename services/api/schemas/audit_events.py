"""Audit events as they are asked for and as they go out.

Source: doc/api/audit_events.md. Beside GitLab's keys, `details` has what happened by its fixed name (`event_name`), the
token that was used (`token_id`), and what the event itself tells.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from marshmallow import Schema, fields

from services.api.schemas.grape import MISSING, GrapeSchema, Id, Moment, Word
from services.api.schemas.keyset import Place
from services.api.schemas.out import Instant, instant
from shared.errors import InvalidParameters
from shared.models import NamespaceId, ProjectId
from shared.pages import Cursor
from shared.ports.audit_rows import AuditFilter, RecordedEvent

_NOBODY_ID, _DEPLOY_TOKEN_ID = -1, -2
"""Who is no user. Source: lib/gitlab/audit/unauthenticated_author.rb and deploy_token_author.rb."""
_INSTANCE, _INSTANCE_ID = "Gitlab::Audit::InstanceScope", 1
_USER_EVENT = "user."
_NAME = "package_name"
"""Of all targets the only one that is no number."""


class _EntityType(StrEnum):
    """Of whose events there are lists; those of users and of the instance stand in the list of all."""

    PROJECT = "Project"
    GROUP = "Group"


class AuditQuerySchema(GrapeSchema):
    """Which events are wanted."""

    created_after = Moment()
    created_before = Moment()
    cursor = Place()


class InstanceAuditQuerySchema(AuditQuerySchema):
    """Which events of the whole instance are wanted."""

    entity_type = Word(_EntityType)
    entity_id = Id()


class AuditEventSchema(Schema):
    """An audit event."""

    id = fields.Integer()
    author_id = fields.Integer()
    entity_id = fields.Integer()
    entity_type = fields.String()
    details = fields.Dict()
    created_at = Instant()


def read_audit_query(parameters: Mapping[str, Any], of: AuditFilter) -> tuple[AuditFilter, Cursor | None]:
    """Return which events of these the parameters ask for, and where to go on where a cursor is followed.

    Raises:
        InvalidParameters: a time is none, or the cursor is none of ours.
    """
    found = AuditQuerySchema().read(_said(parameters))
    return _within(of, found), found["cursor"]


def read_instance_audit_query(parameters: Mapping[str, Any]) -> tuple[AuditFilter, Cursor | None]:
    """Return as `read_audit_query` what is asked for of all events.

    Raises:
        InvalidParameters: likewise, or an entity is wanted that is only half named, or has no list.
    """
    found = InstanceAuditQuerySchema().read(_said(parameters))
    kind, entity_id = found["entity_type"], found["entity_id"]
    if (kind is None) != (entity_id is None):
        raise InvalidParameters(f"{'entity_type' if kind is None else 'entity_id'} {MISSING}")
    of = AuditFilter()
    if kind is _EntityType.PROJECT:
        of = AuditFilter(project_id=ProjectId(entity_id))
    elif kind is _EntityType.GROUP:
        of = AuditFilter(namespace_id=NamespaceId(entity_id))
    return _within(of, found), found["cursor"]


def dump_audit_event(event: RecordedEvent) -> dict[str, Any]:
    """Return the event in GitLab's shape."""
    target_type, _, target_id = event.target.partition(":")
    entity_type, entity_id, entity_path = _entity(event)
    return {
        "id": event.id,
        "author_id": _author_id(event),
        "entity_id": entity_id,
        "entity_type": entity_type,
        "details": {
            **event.details,
            "event_name": event.action,
            "author_name": event.author_name or event.actor,
            "author_class": event.actor.partition(":")[0],
            "token_id": event.token_id,
            "target_id": target_id if target_type == _NAME else int(target_id or _INSTANCE_ID),
            "target_type": target_type,
            "target_details": event.target,
            "entity_path": entity_path,
        },
        "created_at": instant(event.created_at),
    }


def _said(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value != ""}


def _within(of: AuditFilter, found: Mapping[str, Any]) -> AuditFilter:
    return replace(of, created_after=found["created_after"], created_before=found["created_before"])


def _author_id(event: RecordedEvent) -> int:
    if event.author_id is not None:
        return event.author_id
    return _DEPLOY_TOKEN_ID if event.actor.startswith("deploy_token:") else _NOBODY_ID


def _entity(event: RecordedEvent) -> tuple[str, int, str | None]:
    """Return type, id and path of that to which the event belongs: of the innermost that it names."""
    if event.project_id is not None:
        return _EntityType.PROJECT.value, event.project_id, event.project_path
    if event.namespace_id is not None and not event.action.startswith(_USER_EVENT):
        return _EntityType.GROUP.value, event.namespace_id, event.namespace_path
    kind, _, number = event.target.partition(":")
    user_id = number if kind == "user" else event.details.get("user_id")
    if user_id is not None:
        return "User", int(user_id), event.namespace_path
    return _INSTANCE, _INSTANCE_ID, None
