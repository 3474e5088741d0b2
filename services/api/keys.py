"""What hangs on the application and on a request, and under which key."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from services.api.lifecycle import Lifecycle
from services.api.metrics import ApiMetrics
from services.api.offers import Offer
from services.api.presenters.pages import Pages
from services.api.ready_answers import ReadyAnswers
from services.api.upload_slots import UploadSlots
from services.api.use_cases import UseCases
from shared.log import JsonLines
from shared.metrics import Numbers
from shared.ports.failed_attempts import FailedAttempts, IpAddress
from shared.principals import Principal
from shared.protection import ProtectionTerms
from shared.settings import Settings
from shared.usecases.protection_rules import ProtectionRuleChange
from shared.usecases.visits import AnyVisit, GroupVisit, Visit

SETTINGS = web.AppKey("settings", Settings)
USE_CASES = web.AppKey("use_cases", UseCases)
FAILED_ATTEMPTS: web.AppKey[FailedAttempts] = web.AppKey("failed_attempts")
LIFECYCLE = web.AppKey("lifecycle", Lifecycle)
METRICS = web.AppKey("metrics", ApiMetrics)
NUMBERS = web.AppKey("numbers", Numbers)
"""What this process and its siblings have counted."""
UPLOAD_SLOTS = web.AppKey("upload_slots", UploadSlots)
VERSION = web.AppKey("version", str)
"""Of the installed Larder."""
DESCRIPTION: web.AppKey[Callable[[], dict[str, Any]]] = web.AppKey("description")
"""Gives the OpenAPI document of the whole URL table."""
LINES: web.AppKey[JsonLines | None] = web.AppKey("lines")
"""None where each line is written by structlog."""
READY_ANSWERS: web.AppKey[ReadyAnswers | None] = web.AppKey("ready_answers")
"""None where they are off."""
PAGES = web.AppKey("pages", Pages)

REQUEST_ID = web.RequestKey("request_id", str)
"""Set by the request log, first of all."""
CLIENT: web.RequestKey[IpAddress | None] = web.RequestKey("client")
"""Set by the request log: where the request comes from; None where nobody can say."""
HAS_BEGUN = web.RequestKey("has_begun", bool)
"""Set when the answer's head is about to be written; from then on nothing else can be answered."""
OFFER = web.RequestKey("offer", Offer)
"""Set by handlers whose answer may be remembered as it is."""
LOGGED: web.RequestKey[dict[str, Any]] = web.RequestKey("logged")
"""Set by the request log at the end of the request: what it has written down of it."""
PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal")
"""Set by every guard but `open_to_all`: who asks."""
ADMIT: web.RequestKey[Callable[[web.Request], Awaitable[None]]] = web.RequestKey("admit")
"""Set once the route's guard has let the request pass: what it did, to be done once more."""
VISIT = web.RequestKey("visit", Visit)
"""Set by the guards of what lies in a project: who was let in, where."""
GROUP_VISIT = web.RequestKey("group_visit", GroupVisit)
"""Set by the guards of what lies in a group: who was let in, where."""
NEW_RULE = web.RequestKey("new_rule", ProtectionTerms)
"""Set by the guard of a new protection rule: what it shall say."""
RULE_CHANGE = web.RequestKey("rule_change", ProtectionRuleChange)
"""Set by the guard of a changed protection rule: what shall become of it."""


def visit_of(request: web.Request) -> AnyVisit:
    """Return who was let in where, on routes that projects and groups have alike."""
    return request[GROUP_VISIT] if GROUP_VISIT in request else request[VISIT]
