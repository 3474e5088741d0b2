"""Audit events: who did what. Source: doc/api/audit_events.md."""

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.paths import record_id
from services.api.keys import GROUP_VISIT, USE_CASES, VISIT
from services.api.keyset import keyset_headers, require_newest_first
from services.api.pagination import read_page_request
from services.api.parameters import both, query_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.page_response import page_response
from services.api.schemas.audit_events import (
    AuditEventSchema,
    AuditQuerySchema,
    InstanceAuditQuerySchema,
    dump_audit_event,
    read_audit_query,
    read_instance_audit_query,
)
from services.api.schemas.keyset import KeysetRequest
from shared.pages import Cursor, PageRequest
from shared.ports.audit_rows import AuditEventId, AuditFilter

_KEYSET = "keyset"
_FILTERS = ("created_after", "created_before", "entity_type", "entity_id")


@described(takes=InstanceAuditQuerySchema, gives=AuditEventSchema, is_paged=True)
async def index(request: web.Request) -> web.StreamResponse:
    """List all audit events."""
    wanted, (events, cursor) = both(
        lambda: read_page_request(request), lambda: read_instance_audit_query(query_parameters(request))
    )
    return await _listed(request, events, page=wanted, cursor=cursor)


@described(takes=AuditQuerySchema, gives=AuditEventSchema, is_paged=True)
async def index_of_tenant(request: web.Request) -> web.StreamResponse:
    """List the audit events of a project or a group."""
    wanted, (events, cursor) = both(
        lambda: read_page_request(request), lambda: read_audit_query(query_parameters(request), _of_tenant(request))
    )
    return await _listed(request, events, page=wanted, cursor=cursor)


@described(gives=AuditEventSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Show an audit event."""
    return await _shown(request, AuditFilter())


@described(gives=AuditEventSchema)
async def show_of_tenant(request: web.Request) -> web.StreamResponse:
    """Show an audit event of a project or a group."""
    return await _shown(request, _of_tenant(request))


async def _listed(
    request: web.Request, events: AuditFilter, *, page: PageRequest, cursor: Cursor | None
) -> web.StreamResponse:
    use_case, known = request.app[USE_CASES].list_audit_events, _known(request)
    if request.query.get("pagination") != _KEYSET:
        return page_response(request, page, await use_case.page(events, page), dump_audit_event, parameters=known)
    require_newest_first(request)
    found = await use_case.stretch(events, cursor=cursor, limit=page.size)
    place = KeysetRequest(size=page.size, cursor=cursor)
    return json_response(
        [dump_audit_event(event) for event in found.entries],
        headers=keyset_headers(request, place, found.next, parameters=known),
    )


async def _shown(request: web.Request, among: AuditFilter) -> web.StreamResponse:
    event_id = AuditEventId(record_id(request, "audit_event_id", told_as="audit_event_id"))
    return json_response(dump_audit_event(await request.app[USE_CASES].show_audit_event(among, event_id)))


def _of_tenant(request: web.Request) -> AuditFilter:
    if GROUP_VISIT in request:
        return AuditFilter(namespace_id=request[GROUP_VISIT].group.id)
    return AuditFilter(project_id=request[VISIT].project.id)


def _known(request: web.Request) -> dict[str, str]:
    """Return the parameters that a link to the next events repeats."""
    told = {name: request.query[name] for name in _FILTERS if name in request.query}
    of = request.match_info.get("group") or request.match_info.get("project")
    return told if of is None else {**told, "id": of}
